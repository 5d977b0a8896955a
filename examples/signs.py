"""Learns the course's hand signs, as `convnet train --data hdf5:FOLDER --model signs` does.

python signs.py FOLDER EPOCHS MODEL-FILE
"""
import sys

import convnet

folder, epochs, out = sys.argv[1:]
test = convnet.Dataset.load(f"hdf5:{folder}", "test")
train, held = convnet.Dataset.load(f"hdf5:{folder}", "train").hold_out(0.1)

model = convnet.Model("signs", shape=train.shape, classes=train.classes, seed=1)
model.summary()
history = model.fit(train, epochs=int(epochs), validation_data=held, seed=1)
print(history, model.evaluate(test).accuracy)
model.save(out)
