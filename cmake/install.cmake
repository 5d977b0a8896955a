# cmake --install: the header, both libraries, the command, and how CMake and pkg-config find them.
# The prefix may be moved afterwards: all paths are relative to the file that holds them.

include(CMakePackageConfigHelpers)

set(package_directory ${CMAKE_INSTALL_LIBDIR}/cmake/convnet)
install(FILES include/convnet.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
# Two export sets: who links the shared library needs none of the libraries that it stands on.
install(TARGETS convnet EXPORT convnet-shared)
install(TARGETS convnet_static EXPORT convnet-static)
install(EXPORT convnet-shared NAMESPACE convnet:: DESTINATION ${package_directory})
install(EXPORT convnet-static NAMESPACE convnet:: DESTINATION ${package_directory})
# The embedded digits ask for their attribution wherever the library goes.
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES data/digits/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME digits.md)
if(TARGET convnet_command)
    install(TARGETS convnet_command)
endif()

configure_package_config_file(cmake/convnetConfig.cmake.in convnetConfig.cmake
    INSTALL_DESTINATION ${package_directory} NO_SET_AND_CHECK_MACRO)
# Below 1.0 a minor version may change the interface.
write_basic_package_version_file(convnetConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/convnetConfig.cmake
    ${PROJECT_BINARY_DIR}/convnetConfigVersion.cmake DESTINATION ${package_directory})

set(private_packages "zlib jansson")
if(PNG_FOUND)
    string(APPEND private_packages " libpng")
endif()
if(JPEG_FOUND)
    string(APPEND private_packages " libjpeg")
endif()
if(WEBP_FOUND)
    string(APPEND private_packages " libwebpdemux libwebp")
endif()
if(TIFF_FOUND)
    string(APPEND private_packages " libtiff-4")
endif()
if(LibLZMA_FOUND)
    string(APPEND private_packages " liblzma")
endif()
if(HDF5_FOUND)
    string(APPEND private_packages " hdf5")
endif()
set(private_libraries "")
if(GIF_FOUND)
    set(private_libraries " -lgif") # not everywhere known to pkg-config
endif()
file(RELATIVE_PATH prefix_from_pc /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/convnet.pc.in convnet.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/convnet.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
