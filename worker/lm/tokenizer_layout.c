#include "tokenizer_layout.h"

static const struct tokenizer_layout layouts[] = {
    [TOKENIZER_BYTE_LEVEL] =
        {
            .normalizer = "null",
            .pre_tokenizer =
                "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": "
                "{\"Regex\": %s}, \"behavior\": \"Isolated\", \"invert\": false}, {\"type\": "
                "\"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, "
                "\"use_regex\": false}]}",
            .decoder = "{\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": "
                       "true, \"use_regex\": true}",
        },
    [TOKENIZER_BYTE_FALLBACK] =
        {
            .normalizer = "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Prepend\", "
                          "\"prepend\": \"\u2581\"}, {\"type\": \"Replace\", \"pattern\": "
                          "{\"String\": \" \"}, \"content\": \"\u2581\"}]}",
            .pre_tokenizer = "null",
            .decoder = "{\"type\": \"Sequence\", \"decoders\": [{\"type\": \"Replace\", "
                       "\"pattern\": {\"String\": \"\u2581\"}, \"content\": \" \"}, {\"type\": "
                       "\"ByteFallback\"}, {\"type\": \"Fuse\"}, {\"type\": \"Strip\", "
                       "\"content\": \" \", \"start\": 1, \"stop\": 0}]}",
            .byte_fallback = true,
        },
};

const struct tokenizer_layout *tokenizer_layout(enum tokenizer_kind kind)
{
    return &layouts[kind];
}

void tokenizer_layout_pre_tokenizer(enum tokenizer_kind kind, enum split_pattern pattern,
                                    struct strbuf *out)
{
    for (const char *c = layouts[kind].pre_tokenizer; *c; c++) {
        if (c[0] == '%' && c[1] == 's') {
            tokenizer_layout_quote(str_from(split_pattern_regex(pattern)), out);
            c++;
        } else {
            strbuf_putc(out, *c);
        }
    }
}

void tokenizer_layout_quote(struct str text, struct strbuf *out)
{
    strbuf_putc(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '"' || c == '\\')
            strbuf_putc(out, '\\');
        if ((unsigned char)c < 0x20)
            strbuf_printf(out, "\\u%04x", (unsigned)c);
        else
            strbuf_putc(out, c);
    }
    strbuf_putc(out, '"');
}
