// Token ids of hard texts by Hugging Face's tokenizers library (the Rust one, through
// @anush008/tokenizers 0.6.0; @huggingface/tokenizers 0.2.0 as a second opinion).
//
//   mkdir /tmp/oracle && cd /tmp/oracle
//   npm install --ignore-scripts @huggingface/tokenizers@0.2.0 @anush008/tokenizers@0.6.0
//   NODE_PATH=/tmp/oracle/node_modules node REPO/tests/oracle/tokenizer_goldens.mjs REPO/tests/golden
//
// Writes GOLDEN/tokenizer/NAME.cases.json for each tokenizer below. Where the two libraries differ
// the Rust library's ids are stored and the text is printed.
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';

const require = createRequire(path.join(process.env.NODE_PATH, '..', 'from-here.js'));
const { Tokenizer: Rust } = require('@anush008/tokenizers');
const { Tokenizer: Script } = require('@huggingface/tokenizers');

const golden = process.argv[2];
const read = (file) => fs.readFileSync(path.join(golden, file), 'utf8');

// A vocabulary with numbers of several digits under the pattern of Llama 3. "1234" must never
// appear: the pattern cuts after three digits.
function withNumbers(text) {
    const json = JSON.parse(text.replace('|\\\\p{N}|', '|\\\\p{N}{1,3}|'));
    let id = 1024;
    for (const [left, right] of [['1', '2'], ['12', '3'], ['123', '4'], ['0', '0'], ['4', '2'],
        ['00', '0'], ['6', '7']]) {
        json.model.vocab[left + right] = id++;
        json.model.merges.push([left, right]);
    }
    return JSON.stringify(json, null, 1) + '\n';
}

fs.writeFileSync(path.join(golden, 'tokenizer/numbers.json'),
    withNumbers(read('tokenizer/license-1024.json')));
const tokenizers = {
    'license-1024': read('tokenizer/license-1024.json'),
    'numbers': read('tokenizer/numbers.json'),
    'stories260K': read('stories260K/tokenizer.json'),
};

const chosen = [
    '', ' ', '  ', '   a', 'a', ' a', 'a ', 'Once upon a time', 'the quick brown fox',
    "I'm sure they've said he'll don't you'd we're it's", "I'M SURE THEY'VE SAID HE'LL DON'T",
    "'\u017f 'S 's 'ſ '\u212a 'LL 'Ll", '\u0000', 'a\u0000b\u0000\u0000', '\u0001\u001b[0m\u007f',
    '\r\n', 'a\r\nb\r\n\r\nc', '\n\n\n', ' \n \n ', '\t\ttab\t', 'x\u000b\u000cy', 'a\u0085b\u0085',
    'a\u180eb \u180e \u180e', 'a\u00a0b\u00a0\u00a0c', 'a\u2028b\u2029c', 'a\u3000\u3000b', '\ufeffbom',
    'zero\u200bwidth\u200djoin', '0', '7', '42', '1234567890', '3.14159', '1,000,000', '-17', '½²③Ⅷ',
    '12345', '000000', '1 12 123 1234 12341234', '0012123',
    '٣٤٥', '१२३', '2026-11-24T02:07:53Z', '0x1F', 'a1b2c3', 'Ελληνικά κείμενα', 'Русский текст',
    '中文字符，没有空格。', '日本語のテキスト', '한국어 텍스트', 'العربية', 'עברית', 'ภาษาไทย', 'हिन्दी',
    'Tiếng Việt', 'İstanbul ı', 'ﬁ ﬀ ß ẞ', 'e\u0301 é', '\u0301', '😀', '👩‍👩‍👧‍👦', '🇩🇪🇫🇷', '👍🏽 ok',
    '𝔘𝔫𝔦𝔠𝔬𝔡𝔢', '\u{10ffff}', '\u{1d7d8}\u{1d7d9}', '!!!???', '...', '--- *** ___', '$1 €2 £3',
    'foo(bar)[baz]{qux}', 'if (x == 1) {\n\treturn y;\n}\n', '<tag attr="v">text</tag>',
    'https://example.org/a?b=c&d=e#f', 'user@example.org', '\\n \\t \\\\', '"quoted" ‘single’ “double”',
    'a  b   c    d     e', 'trailing   ', '   leading', 'mixed \t \n space', '\n\n  indented\n',
    'word\u2019s', 'naïve café', 'ＦＵＬＬ　ｗｉｄｔｈ', '\u2581', 'a\u2581b', '▁▁▁', '<0x41>', '<s', 's>',
    'Lily and Tom went to the park. They saw a big dog.', 'aaaaaaaaaaaaaaaa', 'hehehehehehe',
    'herherher her her', ' '.repeat(40), 'ab'.repeat(100), '\r'.repeat(5) + ' ' + '\n'.repeat(5),
];

// A fixed generator (mulberry32), so that the texts are the same every time.
let seed = 20261124;
function random(bound) {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % bound;
}

const pieces = [
    ' ', ' ', '  ', '\n', '\r\n', '\t', "'s", "'RE", 'the', 'The', ' of', 'software', 'her', 'he',
    'ing', 'a', 'b', 'e', 'é', 'ß', 'ж', '字', '한', 'ا', 'ก', '😀', '\u0301', '\u200d', '0', '1', '42',
    '٣', '½', '.', ',', '!', '"', '(', ')', '-', '—', '…', '\u00a0', '\u2028', '\u180e', '\u0000',
    'Copyright', 'once', 'upon', 'time', 'Lily', '\u0085', '\u3000', 'ǅ', 'ʰ', '_', '$', '€', '𝔘',
];

function randomText() {
    let text = '';
    for (let n = 1 + random(24); n > 0; n--)
        text += pieces[random(pieces.length)];
    return text;
}

const texts = [...chosen];
for (let i = 0; i < 700; i++)
    texts.push(randomText());

for (const [name, json] of Object.entries(tokenizers)) {
    const rust = Rust.fromString(json);
    const script = new Script(JSON.parse(json), {});
    const lines = [];
    let differing = 0;
    for (const text of texts) {
        const ids = Array.from((await rust.encode(text, null, { addSpecialTokens: false })).getIds());
        const second = Array.from(script.encode(text, { add_special_tokens: false }).ids);
        if (JSON.stringify(ids) !== JSON.stringify(second)) {
            differing++;
            if (differing <= 5)
                console.error(`${name}: libraries differ on ${JSON.stringify(text)}`);
        }
        lines.push(`  {"text": ${JSON.stringify(text)}, "ids": ${JSON.stringify(ids)}}`);
    }
    const out = path.join(golden, 'tokenizer', `${name}.cases.json`);
    fs.writeFileSync(out, `{"made_by": "tests/oracle/tokenizer_goldens.mjs, @anush008/tokenizers `
        + `0.6.0", "cases": [\n${lines.join(',\n')}\n]}\n`);
    console.log(`${name}: ${texts.length} cases, libraries differ on ${differing}`);
}
