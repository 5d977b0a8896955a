# Turns cli/tutor/*.py into arrays of bytes, so that `convnet check` carries its tutor.

file(GLOB tutor_files CONFIGURE_DEPENDS cli/tutor/*.py)
set(tutor_arrays "")
set(tutor_rows "")
foreach(file IN LISTS tutor_files)
    get_filename_component(name ${file} NAME_WE)
    file(READ ${file} bytes HEX)
    string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
    string(REGEX REPLACE "((0x..,){16})" "\\1\n" bytes "${bytes}")
    string(APPEND tutor_arrays "static const unsigned char ${name}_bytes[] = {\n${bytes}\n};\n")
    string(APPEND tutor_rows "    {\"${name}.py\", ${name}_bytes, sizeof ${name}_bytes},\n")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
endforeach()
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/embedded/tutor.c @ONLY CONTENT
"/* Made by cmake/tutor.cmake. */
#include \"tutor.h\"

@tutor_arrays@
const cli_tutor_file cli_tutor_files[] = {
@tutor_rows@    {0, 0, 0},
};
")
