"""Our own chat templates (tests/golden/chat/templates.json, written by test_format_chat with
UPDATE_GOLDEN=1) rendered by Jinja2, the engine of Hugging Face's transformers, in its settings
there; and the fingerprints by which Triad knows them again.

Run with Debian's python3-jinja2 (3.1.2):
    /usr/bin/python3 tests/oracle/chat_templates.py

Writes tests/golden/chat/rendered.json and worker/lm/text/chat_template_ours.inc. The conversations are
those of tests/golden/chat/conversations.json.
"""
import json
import pathlib

from jinja2.sandbox import ImmutableSandboxedEnvironment

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/golden/chat"


def turn(role, content):
    return {"role": role, "content": content}


SPECTRUM = [
    {"open": False, "messages": [turn("description", "An urn."), turn("output", "red"),
                                 turn("output", " blue ")]},
    {"open": True, "messages": [turn("description", "Say.\n\nTwice \\ 'so'."), turn("input", "a b"),
                                turn("output", "1"), turn("input", "c")]},
    {"open": True, "messages": [turn("description", "説明 🎨 {{ x }} {% y %}")]},
    {"open": True, "messages": [turn("output", "{\"a\": 1}"), turn("output", "")]},
]


def fingerprint(line):
    """FNV-1a, 64 bits."""
    value = 0xcbf29ce484222325
    for byte in line.encode():
        value = ((value ^ byte) * 0x100000001b3) % 2**64
    return f"0x{value:016x}"


def main():
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    known = json.loads((GOLDEN / "conversations.json").read_text())
    chats, seen = [], set()
    for case in known:
        if case["name"] not in seen:
            seen.add(case["name"])
            chats.append({"open": case["open"], "messages": case["messages"]})
    cases = []
    out = ["/* Made by tests/oracle/chat_templates.py: template, style, fingerprints of its lines. */"]
    for template in json.loads((GOLDEN / "templates.json").read_text()):
        program = environment.from_string(template["text"])
        for c in SPECTRUM if template["format"] == "spectrum" else chats:
            text = program.render(messages=c["messages"], add_generation_prompt=c["open"])
            cases.append({"format": template["format"], "style": template["style"], **c, "text": text})
        lines = [line.strip(" \t\r") for line in template["text"].split("\n")]
        prints = [fingerprint(line) for line in lines if line]
        out.append(f'TEMPLATE("Triad\'s {template["format"]}", "{template["style"]}",')
        rows = [", ".join(prints[i:i + 4]) for i in range(0, len(prints), 4)]
        out.append("         " + ",\n         ".join(rows) + ")")
    (GOLDEN / "rendered.json").write_text(json.dumps(cases, indent=1, ensure_ascii=False) + "\n")
    (ROOT / "worker/lm/text/chat_template_ours.inc").write_text("\n".join(out) + "\n")
    print(len(cases), "conversations")


if __name__ == "__main__":
    main()
