/* From what was collected to the report: analysed, rendered, written into a folder. */
#ifndef TRIAD_REPORT_MAKE_H
#define TRIAD_REPORT_MAKE_H

#include "cli.h"
#include "collect.h"

/* Formats of `triad report --format`, in the order of report_format_names. */
enum report_format {
    REPORT_TEXT,
    REPORT_MARKDOWN,
    REPORT_CSV,
    REPORT_JSON,
    REPORT_LATEX,
    REPORT_FORMAT_COUNT
};
extern const char *const report_format_names[REPORT_FORMAT_COUNT];

/* Analyse and lay out. Both arguments must outlive the report, which `arena` owns. */
NODISCARD enum err_code report_make(const struct collected *collected, struct arena *arena,
                                    struct report **out, struct err *err);
/* Append one rendering; the text is as wide as the terminal, or 100 columns. */
NODISCARD enum err_code report_make_text(const struct report *report, enum report_format format,
                                         struct strbuf *out, struct err *err);
/* Write report.md, report.csv, report.json, report.tex and records.csv into a folder, made if need
 * be. */
NODISCARD enum err_code report_make_files(const struct report *report,
                                          const struct collected *collected, const char *folder,
                                          struct err *err);

#endif
