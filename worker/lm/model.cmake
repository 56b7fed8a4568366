list(APPEND TRIAD_LM_SOURCES params.c schedule.c sample_draw.c)
