"""Makes the test cases of the Autobahn suite importable on Python 3.

The wheel `autobahntestsuite` is Python 2 source. Its cases are converted with lib2to3 into a
package `abcases`; what they send and expect stays as it is. Byte strings become `str` with one
character per byte (latin-1), and the driver encodes and decodes them at the wire.
"""

import importlib.util
import pathlib
import re
import sys
import types
import warnings

FIXERS = "print except has_key import xrange unicode map dict raise ne".split()

# What stands in for `binascii`: the cases hand it strings.
BINASCII = '''\
import binascii as _binascii


def b2a_hex(data):
    return _binascii.b2a_hex(data.encode("latin-1") if isinstance(data, str) else bytes(data)).decode()


hexlify = b2a_hex
'''

# Places where Python 3 means something else, and what keeps the meaning.
REPLACEMENTS = [
    ("(object, Case, )", "(Case, )"),
    # The compression cases work on real bytes; the driver asks for this mark.
    ('"sendOne": sendOne,', '"sendOne": sendOne, "_raw": True,'),
    ("v.validate(vss[:i])", "v.validate(vss[:i].encode('latin-1'))"),
    ("len(self.payload) / self.p.autoFragmentSize", "len(self.payload) // self.p.autoFragmentSize"),
    ("return pickle.dumps(obj1) == pickle.dumps(obj2)", "return obj1 == obj2"),
]


def suite_folder():
    """Where the installed wheel is; it cannot be imported."""
    return pathlib.Path(importlib.util.find_spec("autobahntestsuite").origin).parent


def convert(work):
    """Writes the package `abcases` into `work` and makes it importable."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lib2to3 import refactor
    tool = refactor.RefactoringTool(["lib2to3.fixes.fix_" + name for name in FIXERS])

    package = pathlib.Path(work) / "abcases"
    (package / "case").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "py2binascii.py").write_text(BINASCII)
    for source in suite_folder().glob("case/*.py"):
        text = converted(tool, source)
        # Within the package, imports are relative.
        text = re.sub(r"^from (case\w*) import", r"from .\1 import", text, flags=re.M)
        (package / "case" / source.name).write_text(text, encoding="utf-8")
    text = converted(tool, suite_folder() / "caseset.py")
    (package / "caseset.py").write_text(text, encoding="utf-8")

    sys.path.insert(0, str(work))
    stand_in_for_the_suite()


def converted(tool, source):
    """The Python 3 text of one source file."""
    if source.name == "case9_9_1.py":  # not among the cases, and cannot be converted
        return "class Case9_9_1:\n    pass\n"
    text = source.read_bytes().decode("latin-1").replace("\r\n", "\n")
    text = re.sub(r"coding[=:]\s*[-\w.]+", "coding=utf-8", text, count=1)
    if not text.endswith("\n"):
        text += "\n"
    text = str(tool.refactor_string(text, str(source)))
    text = re.sub(r"^([ \t]*)import ([\w, ]+)$", replace_binascii, text, flags=re.M)
    for old, new in REPLACEMENTS:
        text = text.replace(old, new)
    return text


def replace_binascii(found):
    indent, names = found.group(1), [name.strip() for name in found.group(2).split(",")]
    if "binascii" not in names:
        return found.group(0)
    lines = [indent + "from abcases import py2binascii as binascii"]
    if len(names) > 1:
        lines.append(indent + "import " + ", ".join(name for name in names if name != "binascii"))
    return "\n".join(lines)


def stand_in_for_the_suite():
    """Registers an empty module, so that pkg_resources finds the suite's test files."""
    spec = importlib.util.find_spec("autobahntestsuite")
    module = types.ModuleType("autobahntestsuite")
    module.__path__ = [str(suite_folder())]
    module.__file__ = spec.origin
    module.__spec__ = spec
    module.__loader__ = spec.loader
    sys.modules["autobahntestsuite"] = module
