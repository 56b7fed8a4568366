list(APPEND TRIAD_LM_SOURCES
    bpe.c intern.c json_field.c model_config.c tensor_spec.c text_split.c tokenizer.c
    tokenizer_build.c tokenizer_json.c tokenizer_layout.c tokenizer_print.c tokenizer_train.c utf8.c)
