list(APPEND TRIAD_LM_SOURCES json_field.c model_config.c tensor_spec.c)
