# The float32 loops are one source, compiled once an instruction set (src/kernels/kernels_*.c) and
# chosen at run time. A vector set is built where the target is x86-64 and the compiler knows its
# flags; the sources then see CONVNET_HAVE_AVX2 and so on. Everywhere else only the
# portable kernels are built, and the library is whole.

include(CheckCCompilerFlag)

# For loops that time goes into: -O2, since the sources name the loops to unroll. Element-wise loops
# become the compiler's vectors; what is left over at their ends is not worth vectors of its own.
set(loop_flags -O2)
# Other files whose loops walk over values, but where less time goes.
set(walk_flags -O2)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    list(APPEND walk_flags -fno-align-functions -fno-align-jumps -fno-align-loops)
    list(APPEND loop_flags -ftree-vectorize -fvect-cost-model=dynamic
        --param=vect-epilogues-nomask=0 -fno-align-functions -fno-align-jumps
        -fno-gcse -fno-tree-pre)
endif()
# Optimized in every configuration, since vector code without optimization crawls; square roots that
# set no errno. Multiplications and additions are fused where the source says so, and nowhere else.
# All of a file stands or falls together, and needs no gaps between functions.
# A debugger is told their lines, not where each variable is, which takes a compiler as long again.
set(kernel_flags ${loop_flags} -ffp-contract=off -fno-math-errno -fno-trapping-math
    -fno-function-sections $<$<CONFIG:Debug,RelWithDebInfo>:-g1>)
# A sanitizer's checks in fully optimized loops take a compiler minutes: there less must do.
if(CMAKE_C_FLAGS MATCHES "-fsanitize")
    list(TRANSFORM kernel_flags REPLACE "-O2" "-O1")
endif()
set(avx2_flags -mavx2 -mfma)
set(avx512_flags -mavx512f -mavx512vl -mavx512dq -mavx512bw -mfma)

# Sanitizers watch what runs: kernels that this machine's processor cannot run would only be compiled.
set(run_here avx2 avx512)
if(CMAKE_C_FLAGS MATCHES "-fsanitize" AND EXISTS /proc/cpuinfo)
    file(STRINGS /proc/cpuinfo processors REGEX "^flags")
    foreach(word avx2:avx2 avx512:avx512bw)
        string(REPLACE ":" ";" word ${word})
        list(GET word 0 isa)
        list(GET word 1 flag)
        if(processors AND NOT processors MATCHES " ${flag}( |;|$)")
            list(REMOVE_ITEM run_here ${isa})
        endif()
    endforeach()
endif()

# Takes the kernels that this target cannot run out of the list `sources`, gives the others their
# flags, and sets `definitions`.
function(kernel_sources sources definitions)
    set(kept ${${sources}})
    set(have "")
    foreach(isa avx2 avx512)
        string(TOUPPER ${isa} ISA)
        set(file ${PROJECT_SOURCE_DIR}/src/kernels/kernels_${isa}.c)
        if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$" AND CMAKE_SIZEOF_VOID_P EQUAL 8)
            list(JOIN ${isa}_flags " " flags)
            check_c_compiler_flag("${flags}" COMPILER_KNOWS_${ISA})
        endif()
        if(COMPILER_KNOWS_${ISA} AND EXISTS ${file} AND isa IN_LIST run_here)
            list(APPEND have CONVNET_HAVE_${ISA})
            set_source_files_properties(${file} PROPERTIES
                COMPILE_OPTIONS "${${isa}_flags};${kernel_flags}")
        else()
            list(REMOVE_ITEM kept ${file})
        endif()
    endforeach()
    # The instruction itself is written in assembly: who knows the flag knows it, too.
    check_c_compiler_flag(-mavx512bf16 COMPILER_KNOWS_AVX512BF16)
    if(CONVNET_HAVE_AVX512 IN_LIST have AND COMPILER_KNOWS_AVX512BF16)
        list(APPEND have CONVNET_HAVE_AVX512BF16)
    endif()
    # Where there are vector kernels, the portable ones serve the oldest processors: small will do. What
    # leaves a loop is kept in a register or on the stack, by more code than it saves.
    set(scalar_flags ${kernel_flags})
    if(have)
        list(TRANSFORM scalar_flags REPLACE "^-O2" "-Os")
        if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
            list(APPEND scalar_flags -fno-tree-loop-im -fno-move-loop-invariants)
        endif()
    endif()
    set_source_files_properties(${PROJECT_SOURCE_DIR}/src/kernels/kernels_scalar.c PROPERTIES
        COMPILE_OPTIONS "${scalar_flags}")
    set(${sources} ${kept} PARENT_SCOPE)
    set(${definitions} ${have} PARENT_SCOPE)
endfunction()
