"""convnet.sklearn.ImageClassifier under scikit-learn's own checks, and on images."""
import importlib.util
import unittest
import warnings

import numpy as np

import convnet

FOUND = importlib.util.find_spec("sklearn")


@unittest.skipUnless(FOUND, "no scikit-learn")
class Estimator(unittest.TestCase):
    def setUp(self):
        try:
            from convnet.sklearn import ImageClassifier
        except ImportError as reason:
            self.skipTest(str(reason))
        self.make = ImageClassifier

    def test_check_estimator(self):
        """Nothing is left out: rows of numbers are images of one row."""
        from sklearn.utils.estimator_checks import check_estimator

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check_estimator(self.make(random_state=0))

    def test_digits(self):
        from sklearn.model_selection import GridSearchCV, cross_val_score

        data = convnet.Dataset.load("digits")
        x, y = data.batch()[:400], np.array(list("abcdefghij"))[data.labels[:400]]
        one = self.make(random_state=1, epochs=10)
        self.assertGreater(one.fit(x, y).score(x, y), 0.8)
        self.assertEqual(one.classes_.tolist(), list("abcdefghij"))
        self.assertTrue(np.allclose(one.predict_proba(x).sum(1), 1, atol=1e-5))
        rows = self.make(random_state=1, epochs=10, image_shape=(8, 8, 1))
        again = rows.fit(x.reshape(len(x), -1), y)
        self.assertTrue(np.array_equal(again.predict(x.reshape(len(x), -1)), one.predict(x)))
        self.assertEqual(len(cross_val_score(self.make("dense classes", epochs=2), x, y, cv=2)), 2)
        search = GridSearchCV(self.make(epochs=1), {"network": ["dense classes", "auto"]}, cv=2)
        self.assertIn(search.fit(x, y).best_params_["network"], ("dense classes", "auto"))

    def test_what_does_not_fit(self):
        x = np.zeros((6, 10))
        with self.assertRaisesRegex(ValueError, "image_shape is"):
            self.make(image_shape=(3, 3, 1)).fit(x, [0, 1, 0, 1, 0, 1])
        with self.assertRaisesRegex(ValueError, "one class"):
            self.make().fit(x, [1] * 6)


if __name__ == "__main__":
    unittest.main()
