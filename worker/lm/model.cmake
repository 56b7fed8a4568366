list(APPEND TRIAD_LM_SOURCES batch.c corpus.c params.c sample_draw.c schedule.c)
