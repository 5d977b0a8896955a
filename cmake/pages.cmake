# Turns the pages of cli/pages/ into arrays of bytes, so that the command carries them.
#
# A page is one .html file. Its lines <!-- css --> and <!-- js --> are replaced by the files listed
# here; where the line <!-- data --> stands, the command writes the figures when it runs.

# The bytes of several files, one after another, as hexadecimal digits.
function(read_hex variable)
    set(all "")
    foreach(file IN LISTS ARGN)
        file(READ ${PROJECT_SOURCE_DIR}/cli/pages/${file} bytes HEX)
        string(APPEND all "${bytes}")
        set_property(DIRECTORY APPEND PROPERTY
            CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/cli/pages/${file})
    endforeach()
    set(${variable} "${all}" PARENT_SCOPE)
endfunction()

function(hex_array variable hex)
    string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
    string(REGEX REPLACE "((0x..,){16})" "\\1\n" bytes "${bytes}")
    set(${variable} "${bytes}" PARENT_SCOPE)
endfunction()

# Cuts `hex` in two at a marker, which is left out of both.
function(cut_at marker hex before after)
    string(HEX "${marker}" mark)
    string(FIND "${hex}" "${mark}" at)
    if(at LESS 0)
        message(FATAL_ERROR "a page of cli/pages/ has no line ${marker}")
    endif()
    string(LENGTH "${mark}" length)
    math(EXPR rest "${at} + ${length}")
    string(SUBSTRING "${hex}" 0 ${at} head)
    string(SUBSTRING "${hex}" ${rest} -1 tail)
    set(${before} "${head}" PARENT_SCOPE)
    set(${after} "${tail}" PARENT_SCOPE)
endfunction()

# embed_page(LIST NAME CSS files... JS files...)
function(embed_page list name)
    cmake_parse_arguments(page "" "" "CSS;JS" ${ARGN})
    read_hex(html ${name}.html)
    read_hex(css ${page_CSS})
    read_hex(js ${page_JS})
    cut_at("<!-- css -->" "${html}" head html)
    cut_at("<!-- data -->" "${html}" middle html)
    cut_at("<!-- js -->" "${html}" before_js tail)
    hex_array(before "${head}${css}${middle}")
    hex_array(after "${before_js}${js}${tail}")
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/embedded/page_${name}.c @ONLY CONTENT
"/* Made by cmake/pages.cmake. */
#include \"page.h\"

static const unsigned char before[] = {
@before@
};
static const unsigned char after[] = {
@after@
};
const cli_page cli_page_@name@ = {before, sizeof before, after, sizeof after};
")
    list(APPEND ${list} ${PROJECT_BINARY_DIR}/embedded/page_${name}.c)
    set(${list} ${${list}} PARENT_SCOPE)
endfunction()

embed_page(command_sources explain
    CSS base.css explain.css
    JS base.js geometry.js moves.js norms.js binary.js layers.js losses.js network.js draw.js overview.js
       detail.js backward.js detail_rows.js explain.js)
embed_page(command_sources report CSS base.css report.css JS base.js charts.js report.js)
