"""What docs/python.md shows runs, block after block, as one program."""
import os
import re
import tempfile
import unittest

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "python.md")


class Page(unittest.TestCase):
    def test_its_snippets_run(self):
        with open(PAGE, encoding="utf-8") as file:
            blocks = re.findall(r"^```python\n(.*?)^```", file.read(), re.M | re.S)
        self.assertGreater(len(blocks), 4)
        names = {"print": lambda *_: None}
        with tempfile.TemporaryDirectory() as folder:
            for block in blocks:
                code = block.replace("/tmp/", folder + "/").replace("model.summary()", "")
                exec(compile(code, PAGE, "exec"), names)


if __name__ == "__main__":
    unittest.main()
