# Flags, packages and the two helpers every folder uses: triad_room() and triad_test().
find_package(PkgConfig REQUIRED)
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium)
pkg_check_modules(ZMQ REQUIRED IMPORTED_TARGET libzmq)
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv)
pkg_check_modules(PROTOBUF_C REQUIRED IMPORTED_TARGET libprotobuf-c)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl)
pkg_check_modules(FYAML REQUIRED IMPORTED_TARGET libfyaml)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(GSL REQUIRED IMPORTED_TARGET gsl)
pkg_check_modules(OPENBLAS REQUIRED IMPORTED_TARGET openblas)
pkg_check_modules(CMOCKA IMPORTED_TARGET cmocka) # only for the tests

add_library(triad_flags INTERFACE)
# -ffp-contract=off and no fast-math anywhere: a NaN must stay visible and bits must not depend on
# which products the compiler chose to fuse.
target_compile_options(triad_flags INTERFACE
    -ffp-contract=off -fno-strict-aliasing -fstack-protector-strong
    -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wdouble-promotion -Wformat=2
    -Wswitch-enum -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wvla -Wundef
    -Wcast-align -Wcast-qual -Wwrite-strings -Wimplicit-fallthrough)
if(CMAKE_C_COMPILER_ID STREQUAL "Clang")
    # glibc's NAN and INFINITY are float constants; clang, unlike gcc, counts every use of them.
    target_compile_options(triad_flags INTERFACE -Wno-double-promotion)
endif()
target_compile_definitions(triad_flags INTERFACE _GNU_SOURCE)
find_package(Threads REQUIRED)
target_link_libraries(triad_flags INTERFACE m Threads::Threads) # apart from libc before glibc 2.34
if(TRIAD_WERROR)
    target_compile_options(triad_flags INTERFACE -Werror)
endif()
if(TRIAD_NATIVE)
    target_compile_options(triad_flags INTERFACE -march=native)
endif()
if(TRIAD_SANITIZE)
    target_compile_options(triad_flags INTERFACE -fsanitize=${TRIAD_SANITIZE}
        -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(triad_flags INTERFACE -fsanitize=${TRIAD_SANITIZE})
endif()
if(TRIAD_FUZZ)
    # Every room reports its coverage; without it a fuzzer only sees its own ten lines.
    target_compile_options(triad_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# triad_room(NAME SOURCES a.c b.c [PUBLIC lib...] [PRIVATE lib...])
# A room: a static library that exports its own folder and nothing else. PUBLIC libraries are those
# whose headers appear in this room's headers; everything else stays PRIVATE. The folder is searched
# for "quoted" names only (-iquote): no header of ours may answer to the name of a system's.
function(triad_room NAME)
    cmake_parse_arguments(ROOM "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
    add_library(${NAME} STATIC ${ROOM_SOURCES})
    target_compile_options(${NAME} PUBLIC "SHELL:-iquote \"${CMAKE_CURRENT_SOURCE_DIR}\"")
    target_link_libraries(${NAME} PUBLIC ${ROOM_PUBLIC} PRIVATE triad_flags ${ROOM_PRIVATE})
endfunction()

# triad_test(NAME SOURCES a.c LIBS lib... [LABELS unit|slow|...] [ARGS ...])
# A cmocka program registered with ctest. Golden files are found through TRIAD_SOURCE_DIR.
# A test that cannot run here exits 77 after saying why; ctest reports it as skipped.
function(triad_test NAME)
    cmake_parse_arguments(T "" "TIMEOUT" "SOURCES;LIBS;LABELS;ARGS" ${ARGN})
    add_executable(${NAME} ${T_SOURCES})
    target_include_directories(${NAME} PRIVATE ${CMAKE_SOURCE_DIR}/tests/support)
    target_compile_definitions(${NAME} PRIVATE TRIAD_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
        TRIAD_BINARY_DIR="${CMAKE_BINARY_DIR}")
    target_link_libraries(${NAME} PRIVATE triad_flags ${T_LIBS} PkgConfig::CMOCKA)
    add_test(NAME ${NAME} COMMAND ${NAME} ${T_ARGS})
    if(NOT T_LABELS)
        set(T_LABELS unit)
    endif()
    if(NOT T_TIMEOUT)
        set(T_TIMEOUT 900)
    endif()
    set_tests_properties(${NAME} PROPERTIES LABELS "${T_LABELS}" SKIP_RETURN_CODE 77
        TIMEOUT ${T_TIMEOUT})
endfunction()

# triad_fuzz(NAME SOURCES a.c LIBS lib...)
# A libFuzzer target (preset fuzz). In every other build the same file is linked with a small driver
# that replays tests/fuzz/corpus/NAME, so that old findings stay fixed.
function(triad_fuzz NAME)
    cmake_parse_arguments(F "" "" "SOURCES;LIBS" ${ARGN})
    if(TRIAD_FUZZ)
        add_executable(${NAME} ${F_SOURCES})
        target_compile_options(${NAME} PRIVATE -fsanitize=fuzzer)
        target_link_options(${NAME} PRIVATE -fsanitize=fuzzer)
    else()
        add_executable(${NAME} ${F_SOURCES} ${CMAKE_SOURCE_DIR}/tests/support/fuzz_replay.c)
        add_test(NAME ${NAME} COMMAND ${NAME} ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${NAME})
        set_tests_properties(${NAME} PROPERTIES LABELS fuzz SKIP_RETURN_CODE 77 TIMEOUT 900)
    endif()
    target_include_directories(${NAME} PRIVATE ${CMAKE_SOURCE_DIR}/tests/support)
    target_link_libraries(${NAME} PRIVATE triad_flags ${F_LIBS})
endfunction()

# Enter those of the named folders that have a CMakeLists.txt.
macro(triad_subdirs)
    foreach(folder ${ARGN})
        if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/CMakeLists.txt)
            add_subdirectory(${folder})
        endif()
    endforeach()
endmacro()
