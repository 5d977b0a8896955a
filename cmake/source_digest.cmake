# One number for all sources of the library, by which processes that train together tell whether
# they were built from the same ones: embedded/source_digest.c, made again whenever a source changes.
#
# Included, it adds the rule that runs it as a script:
#
#     cmake -D FOLDER=source tree -D OUTPUT=file.c -P source_digest.cmake

if(NOT CMAKE_SCRIPT_MODE_FILE)
    set(source_digest ${PROJECT_BINARY_DIR}/embedded/source_digest.c)
    file(GLOB_RECURSE headers CONFIGURE_DEPENDS src/*.h include/*.h)
    add_custom_command(OUTPUT ${source_digest}
        COMMAND ${CMAKE_COMMAND} -D FOLDER=${PROJECT_SOURCE_DIR} -D OUTPUT=${source_digest}
            -P ${CMAKE_CURRENT_LIST_FILE}
        DEPENDS ${library_sources} ${headers} ${CMAKE_CURRENT_LIST_FILE}
        COMMENT "Digest of the sources" VERBATIM)
    list(APPEND library_sources ${source_digest})
    return()
endif()

# Sorted, so that it does not depend on the folder's order; by name within the tree, wherever it is.
file(GLOB_RECURSE files RELATIVE ${FOLDER} ${FOLDER}/src/*.[ch] ${FOLDER}/include/*.h)
list(SORT files)
set(all "")
foreach(file IN LISTS files)
    file(SHA256 ${FOLDER}/${file} digest)
    string(APPEND all "${digest} ${file}\n")
endforeach()
string(SHA256 digest "${all}")
file(WRITE ${OUTPUT}
    "/* Made by cmake/source_digest.cmake. */\n#include \"train/shards.h\"\n\n"
    "const char cn_source_digest[] =\n    \"${digest}\";\n")
