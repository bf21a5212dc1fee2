"""Writes the corpus: `python3 tests/mqtt/write` beside it; with `--check`, says whether it would change anything."""

import importlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
FOLDER = pathlib.Path(__file__).parent.parent / "corpus"
MODULES = ["format", "connecting", "messaging", "subscribing", "surviving"]


def chapters():
    for module in MODULES:
        yield from importlib.import_module(module).all_chapters()


def main():
    check = "--check" in sys.argv
    wrong = []
    names = set()
    for chapter in chapters():
        file = FOLDER / f"{chapter.name}.json"
        names.add(file.name)
        text = chapter.text()
        if not file.exists() or file.read_text() != text:
            wrong.append(file.name)
            if not check:
                file.write_text(text)
    wrong += [file.name for file in FOLDER.glob("*.json") if file.name not in names]
    if check and wrong:
        sys.exit(f"tests/mqtt/write would change {', '.join(wrong)}")


main()
