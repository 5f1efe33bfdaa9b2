"""The gate's findings as JUnit XML: a suite for each run and prompt set, a case for each metric and language."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from ..gate import FAILED, UNDECIDED, Check, Finding
from .text import sentence

_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to write, not even as a reference (section 2.2)."""


def junit_report(found: Check | None, error: str | None = None, *, strict: bool = False) -> str:
    """The XML document; an ``error`` is a suite with one case in error. What is undecided is skipped, or with
    ``strict`` a failure."""
    root = ElementTree.Element("testsuites", name="detoxbench check")
    if found is None:
        suite = ElementTree.SubElement(root, "testsuite", name="detoxbench check", tests="1", failures="0", errors="1")
        case = ElementTree.SubElement(suite, "testcase", classname="detoxbench", name="comparable")
        ElementTree.SubElement(case, "error", message=_legal(error or ""))
    else:
        suites: dict[tuple[str, str], list[Finding]] = {}
        for finding in found.findings:
            suites.setdefault((finding.run, finding.prompt_set), []).append(finding)
        for (run, prompt_set), findings in suites.items():
            _suite(root, f"{run} · {prompt_set}", findings, strict)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _suite(root: ElementTree.Element, name: str, findings: list[Finding], strict: bool) -> None:
    failures = sum(_fails(finding, strict) for finding in findings)
    undecided = sum(finding.verdict == UNDECIDED for finding in findings)
    skipped = 0 if strict else undecided
    counts = {"tests": str(len(findings)), "failures": str(failures), "errors": "0", "skipped": str(skipped)}
    suite = ElementTree.SubElement(root, "testsuite", {"name": _legal(name), **counts})
    for finding in findings:
        names = {"classname": _legal(finding.metric), "name": _legal(finding.where)}
        case = ElementTree.SubElement(suite, "testcase", names)
        if _fails(finding, strict):
            kind = "regression" if finding.verdict == FAILED else UNDECIDED
            ElementTree.SubElement(case, "failure", type=kind, message=_legal(sentence(finding)))
        elif finding.verdict == UNDECIDED:
            ElementTree.SubElement(case, "skipped", message=_legal(sentence(finding)))


def _fails(finding: Finding, strict: bool) -> bool:
    return finding.verdict == FAILED or (strict and finding.verdict == UNDECIDED)


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text)
