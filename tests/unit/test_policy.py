# SPDX-License-Identifier: MIT
"""polkit's questions exist in all of the project's languages, each one complete. polkit silently falls back to English,
so no other test would find a missing text."""

import pathlib
import unittest
from xml.etree import ElementTree

POLICY = pathlib.Path(__file__).resolve().parent.parent.parent / "polkit" / "org.qemutap.policy"
LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
LANGUAGES = {None, "de", "ru"}
TEXTS = ("description", "message")
# polkit does not wrap its texts, and a dialog is not wide.
LONGEST = 120


class Policy(unittest.TestCase):
    def setUp(self):
        self.actions = list(ElementTree.parse(POLICY).getroot().iter("action"))
        self.assertEqual([action.get("id") for action in self.actions], ["org.qemutap.acquire", "org.qemutap.manage",
                                                                         "org.qemutap.vhost"])

    def texts(self):
        """For each action and kind of text its name and its entries: language and text."""
        for action in self.actions:
            for kind in TEXTS:
                entries = [(entry.get(LANGUAGE), entry.text) for entry in action.findall(kind)]
                yield f"{action.get('id')} {kind}", entries

    def test_languages(self):
        """Each description and message exists once in English, German and Russian."""
        for name, entries in self.texts():
            with self.subTest(text=name):
                self.assertEqual(sorted(language or "" for language, _ in entries),
                                 sorted(language or "" for language in LANGUAGES))

    def test_translated(self):
        """A translation differs from the English text, uses its language's alphabet, is short, and has no full stop."""
        for name, entries in self.texts():
            english = dict(entries)[None]
            for language, text in entries:
                with self.subTest(text=name, language=language):
                    self.assertEqual(text, text.strip())
                    self.assertFalse(text.endswith("."))
                    self.assertLessEqual(len(text), LONGEST)
                    cyrillic = any("\u0400" <= letter <= "\u04ff" for letter in text)
                    self.assertEqual(cyrillic, language == "ru")
                    self.assertEqual(text == english, language is None)

    def test_told_apart(self):
        """In each language all texts of all actions differ."""
        for language in LANGUAGES:
            texts = [dict(entries)[language] for _, entries in self.texts()]
            self.assertEqual(len(texts), len(set(texts)))

    def test_nothing_else(self):
        """No other element is translated, and none has an unknown language."""
        for action in self.actions:
            for entry in action.iter():
                with self.subTest(action=action.get("id"), element=entry.tag):
                    self.assertIn(entry.get(LANGUAGE), LANGUAGES)
                    self.assertTrue(entry.tag in TEXTS or entry.get(LANGUAGE) is None)


if __name__ == "__main__":
    unittest.main()
