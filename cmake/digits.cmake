# Turns data/digits/*.gz into arrays of bytes, so that the library carries its own data set.

# Appends to `list` a C source that defines `cn_<name>` and `cn_<name>_size`.
function(embed_file list name file)
    file(READ ${file} bytes HEX)
    string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
    string(REGEX REPLACE "((0x..,){16})" "\\1\n" bytes "${bytes}")
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/embedded/${name}.c @ONLY CONTENT
"/* Made by cmake/digits.cmake. */
#include \"data/digits.h\"

const unsigned char cn_@name@[] = {
@bytes@
};
const size_t cn_@name@_size = sizeof cn_@name@;
")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    list(APPEND ${list} ${PROJECT_BINARY_DIR}/embedded/${name}.c)
    set(${list} ${${list}} PARENT_SCOPE)
endfunction()

embed_file(library_sources digits_images ${PROJECT_SOURCE_DIR}/data/digits/images-idx3-ubyte.gz)
embed_file(library_sources digits_labels ${PROJECT_SOURCE_DIR}/data/digits/labels-idx1-ubyte.gz)
