#include "hard_text.h"

#include <stdbool.h>
#include <string.h>

#include "rng.h"

enum { SEED = 20261126 };

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct range {
    uint32_t first;
    uint32_t last;
};

/* Blocks of Unicode by what is hard in them. */
static const struct range blocks[] = {
    {0x20, 0x7e},       {0x00, 0x1f},       {0x7f, 0xa0},       {0xa1, 0xff},
    {0x100, 0x24f},     {0x250, 0x2ff},     {0x300, 0x36f},     {0x370, 0x3ff},
    {0x400, 0x52f},     {0x531, 0x58f},     {0x591, 0x5f4},     {0x600, 0x6ff},
    {0x700, 0x74a},     {0x780, 0x7b1},     {0x900, 0x97f},     {0x980, 0x9fe},
    {0xa01, 0xa76},     {0xb01, 0xb77},     {0xb82, 0xbfa},     {0xc00, 0xc7f},
    {0xd00, 0xd7f},     {0xe01, 0xe5b},     {0xe81, 0xedf},     {0xf00, 0xfda},
    {0x1000, 0x109f},   {0x10a0, 0x10ff},   {0x1100, 0x11ff},   {0x1200, 0x139f},
    {0x13a0, 0x13fd},   {0x1680, 0x169c},   {0x1780, 0x17f9},   {0x1800, 0x18aa},
    {0x1ab0, 0x1abe},   {0x1b00, 0x1b7c},   {0x1d00, 0x1dff},   {0x1e00, 0x1eff},
    {0x1f00, 0x1ffe},   {0x2000, 0x206f},   {0x2070, 0x209c},   {0x20a0, 0x20bf},
    {0x20d0, 0x20f0},   {0x2100, 0x218b},   {0x2190, 0x23ff},   {0x2460, 0x24ff},
    {0x2500, 0x25ff},   {0x2600, 0x27bf},   {0x2c00, 0x2c5e},   {0x2e80, 0x2fd5},
    {0x3000, 0x303f},   {0x3041, 0x30ff},   {0x3131, 0x318e},   {0x3200, 0x33ff},
    {0x4e00, 0x9fef},   {0xa000, 0xa4c6},   {0xa960, 0xa97c},   {0xac00, 0xd7a3},
    {0xd7b0, 0xd7fb},   {0xf900, 0xfad9},   {0xfb00, 0xfb4f},   {0xfb50, 0xfdfd},
    {0xfe00, 0xfe0f},   {0xfe20, 0xfe2f},   {0xff01, 0xffee},   {0x10000, 0x100fa},
    {0x10400, 0x1049d}, {0x11000, 0x11075}, {0x11080, 0x110c1}, {0x11100, 0x11146},
    {0x12000, 0x12399}, {0x1d100, 0x1d1e8}, {0x1d400, 0x1d7ff}, {0x1f1e6, 0x1f1ff},
    {0x1f300, 0x1f64f}, {0x1f680, 0x1f6d5}, {0x1f900, 0x1f9ff}, {0x20000, 0x2a6d6},
    {0xe0100, 0xe01ef}, {0xe000, 0xe0ff},   {0xfffc, 0xffff},   {0x10fff0, 0x10ffff},
};

/* What real text is made of. */
static const char *const words[] = {
    "the",      "The",       " of",   "and",    "a",      "I'm",      "they've",  "don't",
    "DON'T",    "it's",      "we'll", "you'd",  "ing",    "Once",     "upon",     "time",
    "software", "Copyright", "naïve", "café",   "Straße", "İstanbul", "Ελλάδα",   "Россия",
    "мир",      "العربية",   "שלום",  "हिन्दी",  "ไทย",    "日本語",   "テキスト", "中文字符",
    "한국어",   "Việt",      "ﬁn",    "ǅungla", "ŉ",      "ſ",        "K",        "Å",
    "Ω",        "ͅ",          "क़",     "ଡ଼",      "שּׁ",      "ΐ",        "ﬃ",        "㍿",
    "½",        "²³",        "Ⅷ",     "٣٤٥",    "१२३",    "x",        "Lily",     "ab",
};

static const char *const numbers[] = {
    "0",      "7",     "42",         "123",   "1234",   "1234567890", "3.14159",
    "1,000",  "-17",   "2026-11-26", "0x1F",  "1e-9",   "00000000",   "١٢٣٤٥٦",
    "１２３", "99.9%", "$1.50",      "12:34", "a1b2c3", "v1.2.3",     "²",
};

static const char *const spaces[] = {
    " ",
    "  ",
    "   ",
    "    ",
    "\n",
    "\n\n",
    "\n\n\n",
    "\r\n",
    "\r\n\r\n",
    "\r",
    "\t",
    "\t\t",
    " \n",
    "\n ",
    " \t ",
    "\x0b",
    "\x0c",
    "\xc2\x85",
    "\u00a0",
    "\u1680",
    "\u180e",
    "\u2003",
    "\u200b",
    "\u2028",
    "\u2029",
    "\u202f",
    "\u205f",
    "\u3000",
    "\ufeff",
    "        ",
    "\n\n\n\n\n\n\n\n",
    "\t\t\t\t\t",
    "                                        ",
};

static const char *const marks[] = {
    "!",  "?!", "...", "…",  "—",  "--", "\"", "“”", "'",   "‘",      "’s",  "(",
    ")",  "[]", "{}",  "<",  ">",  "/>", "=>", "==", "!=",  "&&",     "||",  "::",
    "->", "//", "/*",  "*/", "#",  "@",  "~",  "`",  "\\n", "\\",     "$",   "%",
    "^",  "_",  "__",  "、", "。", "！", "؟",  "।",  "·",   "\u2581", "▁▁▁", "🄰",
};

static const char *const code[] = {
    "for (int i = 0; i < n; i++) {\n\tsum += a[i];\n}\n",
    "def f(x):\n    return x ** 2\n\n",
    "if (x == NULL)\r\n\treturn -1;\r\n",
    "<h1>Title</h1>\n<p class=\"x\">text &amp; more</p>\n<table><tr><td>1</td></tr></table>",
    "SELECT * FROM t WHERE a='b' AND c<>3;",
    "{\"key\": [1, 2.5, null], \"k\\u00e9y\": \"v\"}",
    "https://example.org/a/b?c=d&e=%20f#g",
    "user.name+tag@example.co.uk",
    "#include <stdio.h>\n",
    "\\frac{a_1}{b^{2}} \\leq \\sum_{i=0}^{\\infty} x_i",
    "fn main() -> Result<(), Box<dyn Error>> { Ok(()) }",
    "$ ls -la | grep '^d' > /dev/null 2>&1",
};

/* Names of special and other added tokens, and what nearly is one. */
static const char *const specials[] = {
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<|reserved_special_token_5|>",
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "<|fim_pad|>",
    "<bos>",
    "<eos>",
    "<pad>",
    "<unk>",
    "<mask>",
    "[multimodal]",
    "<start_of_turn>",
    "<end_of_turn>",
    "<unused0>",
    "<unused99>",
    "<unused6241>",
    "<start_of_image>",
    "<image_soft_token>",
    "<h1>",
    "</h1>",
    "<code>",
    "<s>",
    "</s>",
    "<0x41>",
    "<0xE2>",
    "<|eot_id|",
    "|eot_id|>",
    "<|im_end",
    "< bos>",
    "<unused>",
    "<unused99",
    "<|eot_id|>>",
    "<<bos>",
    "<|im_start|>user\n",
    "<start_of_turn>model\n",
    "<|IM_END|>",
    "<Think>",
};

static const char *const emoji[] = {
    "😀",
    "👩‍👩‍👧‍👦",
    "👍🏽",
    "🇩🇪🇫🇷",
    "🏳️‍🌈",
    "1️⃣",
    "❤️",
    "👨🏿‍💻",
    "🫠",
    "☺",
    "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "\u200d",
    "\ufe0f",
};

/* Bytes that are not UTF-8: stray, cut off, overlong, surrogates, beyond U+10FFFF. */
static const char *const broken[] = {
    "\x80",         "\xbf\xbf",         "\xc0\xaf",
    "\xc3",         "\xe2\x96",         "\xe0\x80\x80",
    "\xed\xa0\x80", "\xed\xbf\xbf",     "\xf0\x9f",
    "\xf0\x9f\x98", "\xf4\x90\x80",     "\xf8\x88\x80\x80",
    "\xff",         "\xfe\xff",         "\xc3(",
    "\xe1\x80\xe2", "\xf1\x80\x80\xe1", "\xed\xa0\xbd\xed\xb8\x80",
};

static void put_codepoint(uint32_t c, struct strbuf *out)
{
    if (c >= 0xd800 && c <= 0xdfff)
        c = 0xfffd;
    if (c < 0x80) {
        strbuf_putc(out, (char)c);
        return;
    }
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint32_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    strbuf_putc(out, (char)(lead[more] | c >> (6 * more)));
    while (more-- > 0)
        strbuf_putc(out, (char)(0x80 | (c >> (6 * more) & 0x3f)));
}

static uint32_t below(struct rng *rng, size_t bound)
{
    return (uint32_t)rng_below(rng, bound);
}

static void put_one(struct rng *rng, const char *const *list, size_t count, struct strbuf *out)
{
    strbuf_puts(out, list[below(rng, count)]);
}

/* Marks newer than the normalization tables of the Rust library (Unicode 10): it leaves them where
 * they are, the JavaScript library and we put them in their order. */
static const struct range newer_marks[] = {{0x9fe, 0x9fe}, {0xc3c, 0xc3c}, {0x1df6, 0x1dfa}};

static void put_from_block(struct rng *rng, const struct range *block, struct strbuf *out)
{
    uint32_t c = block->first + below(rng, block->last - block->first + 1);
    for (size_t i = 0; i < COUNT(newer_marks); i++) {
        if (c >= newer_marks[i].first && c <= newer_marks[i].last)
            c = 0xfffd;
    }
    put_codepoint(c, out);
}

/* Characters of one script with spaces between, as words are. */
static void put_script(struct rng *rng, struct strbuf *out)
{
    const struct range *block = &blocks[below(rng, COUNT(blocks))];
    for (uint32_t n = 3 + below(rng, 20); n > 0; n--) {
        put_from_block(rng, block, out);
        if (below(rng, 6) == 0)
            strbuf_putc(out, ' ');
    }
}

/* Letters with marks in any order, which normalizing puts right. */
static void put_marked(struct rng *rng, struct strbuf *out)
{
    static const uint32_t bases[] = {'a',   'e',   'o',   'A',   0xe9,   0x1ea5,
                                     0x3b1, 0x438, 0x905, 0x9c7, 0x1025, 0x3042,
                                     0x5d0, 0xf40, ' ',   '1',   0x1b05, 0x11099};
    static const struct range kinds[] = {{0x300, 0x345},   {0x346, 0x36f},   {0x591, 0x5bd},
                                         {0x64b, 0x655},   {0x93c, 0x94d},   {0x9be, 0x9d7},
                                         {0xf71, 0xf84},   {0x1b34, 0x1b35}, {0x302a, 0x302f},
                                         {0x3099, 0x309a}, {0x20d0, 0x20dc}, {0x110b9, 0x110ba}};
    for (uint32_t n = 1 + below(rng, 6); n > 0; n--) {
        put_codepoint(bases[below(rng, COUNT(bases))], out);
        for (uint32_t m = below(rng, below(rng, 8) == 0 ? 40 : 4); m > 0; m--)
            put_from_block(rng, &kinds[below(rng, COUNT(kinds))], out);
    }
}

/* Leading, middle and final jamo, and syllables with and without a final one. */
static void put_jamo(struct rng *rng, struct strbuf *out)
{
    static const struct range kinds[] = {
        {0x1100, 0x1112}, {0x1161, 0x1175}, {0x11a7, 0x11c2}, {0xac00, 0xd7a3}, {0x1100, 0x11ff}};
    for (uint32_t n = 2 + below(rng, 12); n > 0; n--) {
        if (below(rng, 3) == 0)
            put_codepoint(0xac00 + 28 * below(rng, 399), out);
        put_from_block(rng, &kinds[below(rng, COUNT(kinds))], out);
    }
}

/* The same thing over and over. */
static void put_run(struct rng *rng, struct strbuf *out)
{
    static const char *const things[] = {" ", "\n", "\t",     "a",  "ab",     "0",
                                         "=", "-",  "é",      "字", "\u2581", "\r\n",
                                         "😀", "ha", "\u0301", "한", "\x7f"};
    const char *thing = things[below(rng, COUNT(things))];
    for (uint32_t n = 2 + below(rng, 70); n > 0; n--)
        strbuf_puts(out, thing);
}

static void put_any(struct rng *rng, struct strbuf *out)
{
    for (uint32_t n = 1 + below(rng, 10); n > 0; n--)
        put_from_block(rng, &blocks[below(rng, COUNT(blocks))], out);
}

static void put_sentence(struct rng *rng, struct strbuf *out)
{
    for (uint32_t n = 3 + below(rng, 10); n > 0; n--) {
        put_one(rng, words, COUNT(words), out);
        strbuf_puts(out, below(rng, 5) ? " " : ", ");
    }
}

static void put_piece(struct rng *rng, bool may_break, struct strbuf *out)
{
    switch (below(rng, 18)) {
    case 0:
    case 1:
        put_script(rng, out);
        break;
    case 2:
        put_marked(rng, out);
        break;
    case 3:
        put_jamo(rng, out);
        break;
    case 4:
        put_run(rng, out);
        break;
    case 5:
        put_any(rng, out);
        break;
    case 6:
    case 7:
        put_sentence(rng, out);
        break;
    case 8:
        put_one(rng, code, COUNT(code), out);
        break;
    case 9:
        put_one(rng, specials, COUNT(specials), out);
        break;
    case 10:
        put_one(rng, emoji, COUNT(emoji), out);
        break;
    case 11:
    case 12:
        put_one(rng, numbers, COUNT(numbers), out);
        break;
    case 13:
        put_one(rng, marks, COUNT(marks), out);
        break;
    case 14:
        if (may_break)
            put_one(rng, broken, COUNT(broken), out);
        else
            strbuf_putc(out, '\0');
        break;
    default:
        put_one(rng, spaces, COUNT(spaces), out);
        break;
    }
}

void hard_text_line(uint32_t number, struct strbuf *out)
{
    struct rng root = rng_new(SEED, "hard_text");
    struct rng rng = rng_child(&root, "line", number);
    bool may_break = number % 8 == 0;
    strbuf_clear(out);
    for (uint32_t n = 1 + below(&rng, 9); n > 0; n--)
        put_piece(&rng, may_break, out);
}

void hard_text_ids(uint32_t number, uint32_t vocabulary, int32_t ids[HARD_IDS])
{
    struct rng root = rng_new(SEED, "hard_ids");
    struct rng rng = rng_child(&root, "list", number);
    /* Single bytes have small ids in all families, and are what decoding is hard on. */
    for (int i = 0; i < HARD_IDS; i++)
        ids[i] =
            (int32_t)rng_below(&rng, rng_below(&rng, 3) && vocabulary > 600 ? 600 : vocabulary);
}
