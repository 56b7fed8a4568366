/* Write the hard lines, or the lists of ids for a vocabulary, to standard output: for programs that
 * are not ours. Each line as its length (uint32, little end first) and its bytes; each id as an
 * int32.
 *
 *   hard_text lines
 *   hard_text ids VOCABULARY */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hard_text.h"

static void put_u32(uint32_t value)
{
    for (int i = 0; i < 4; i++)
        putchar((int)(value >> (8 * i) & 0xff));
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "lines") == 0) {
        struct strbuf line = {0};
        for (uint32_t i = 0; i < HARD_LINES; i++) {
            hard_text_line(i, &line);
            put_u32((uint32_t)line.len);
            fwrite(strbuf_text(&line), 1, line.len, stdout);
        }
        strbuf_release(&line);
    } else if (argc == 3 && strcmp(argv[1], "ids") == 0) {
        for (uint32_t i = 0; i < HARD_ID_LISTS; i++) {
            int32_t ids[HARD_IDS];
            hard_text_ids(i, (uint32_t)strtoul(argv[2], NULL, 10), ids);
            for (int k = 0; k < HARD_IDS; k++)
                put_u32((uint32_t)ids[k]);
        }
    } else {
        fprintf(stderr, "usage: hard_text lines | hard_text ids VOCABULARY\n");
        return 2;
    }
    return ferror(stdout) ? 1 : 0;
}
