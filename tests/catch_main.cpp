// SPDX-License-Identifier: MIT
//
// Catch2 v2's main function, which takes long to compile and is linked into every test program; v3 brings a
// compiled one.

#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
