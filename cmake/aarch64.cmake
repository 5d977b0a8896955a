# Toolchain: builds for 64-bit Arm on another machine, with Debian's cross compiler, and runs what
# it built under QEMU.
#
#   cmake -B build/aarch64 -DCMAKE_TOOLCHAIN_FILE=cmake/aarch64.cmake -DCMAKE_SYSROOT=FOLDER
#
# CMAKE_SYSROOT holds Debian's arm64 packages, unpacked (script/aarch64 makes such a folder); without
# it they are those that "dpkg --add-architecture arm64" lets this machine install.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)

# Programs are this machine's, everything else is the target's: pkg-config's files, too.
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_SYSROOT_DIR} "${CMAKE_SYSROOT}")
set(ENV{PKG_CONFIG_LIBDIR}
    "${CMAKE_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${CMAKE_SYSROOT}/usr/share/pkgconfig")

find_program(QEMU NAMES qemu-aarch64 qemu-aarch64-static)
if(QEMU)
    set(CMAKE_CROSSCOMPILING_EMULATOR "${QEMU};-L;${CMAKE_SYSROOT}/")
endif()
