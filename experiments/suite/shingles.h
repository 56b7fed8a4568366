/* Runs of eight words of many texts, as hashes: to find out whether a text is nearly known. */
#ifndef TRIAD_SHINGLES_H
#define TRIAD_SHINGLES_H

struct shingle_set;

struct shingle_set *shingle_set_new(void);
void shingle_set_free(struct shingle_set *set); /* accepts NULL */

/* Add the runs of a text; NULL and texts of fewer than eight words are passed over. Letters count
 * without case, other bytes but digits separate words. */
void shingle_set_add(struct shingle_set *set, const char *text);
/* How many of a text's runs are known, in percent; 0 for texts of fewer than eight words. */
int shingle_set_percent(const struct shingle_set *set, const char *text);

#endif
