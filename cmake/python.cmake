# The Python package, ready to be imported from build/python: the sources of python/convnet, what
# python/interface.py makes of the header, and the library. Where there is no Python, the rest is
# built without it.

option(CONVNET_WHEEL "Install the Python package alone, as pip wants it" OFF)
find_package(Python3 COMPONENTS Interpreter)
if(NOT Python3_FOUND)
    if(CONVNET_WHEEL)
        message(FATAL_ERROR "CONVNET_WHEEL=ON, but CMake finds no python3")
    endif()
    return()
endif()

set(python_package ${PROJECT_BINARY_DIR}/python/convnet)
file(GLOB python_sources CONFIGURE_DEPENDS python/convnet/*.py python/convnet/py.typed)
set(python_copies "")
foreach(source IN LISTS python_sources)
    get_filename_component(name ${source} NAME)
    list(APPEND python_copies ${python_package}/${name})
    add_custom_command(OUTPUT ${python_package}/${name}
        COMMAND ${CMAKE_COMMAND} -E copy ${source} ${python_package}/${name}
        DEPENDS ${source} VERBATIM)
endforeach()
add_custom_command(OUTPUT ${python_package}/_interface.py ${python_package}/layers.py
    COMMAND ${CMAKE_COMMAND} -E make_directory ${python_package}
    COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/python/interface.py
        ${PROJECT_SOURCE_DIR}/include/convnet.h ${python_package}
    DEPENDS python/interface.py include/convnet.h VERBATIM)
add_custom_target(python_package ALL
    COMMAND ${CMAKE_COMMAND} -E create_symlink $<TARGET_FILE:convnet>
        ${python_package}/$<TARGET_FILE_PREFIX:convnet>convnet$<TARGET_FILE_SUFFIX:convnet>
    DEPENDS ${python_copies} ${python_package}/_interface.py ${python_package}/layers.py VERBATIM)
add_dependencies(python_package convnet)

if(CONVNET_WHEEL)
    install(FILES ${python_copies} ${python_package}/_interface.py ${python_package}/layers.py
        DESTINATION convnet COMPONENT python)
    install(FILES $<TARGET_FILE:convnet> DESTINATION convnet COMPONENT python
        RENAME $<TARGET_FILE_PREFIX:convnet>convnet$<TARGET_FILE_SUFFIX:convnet>)
endif()
