// SPDX-License-Identifier: MIT
//
// Numbers on command lines and in configuration files, with the one spelling of common/number.hpp: CLI11 by
// itself takes "" for 0, "010" for 8 and "0x10" for 16.

#pragma once

#include "common/number.hpp"
#include "common/quote.hpp"

#include <CLI/CLI.hpp>

#include <string>

namespace qemutap {

// `number` has the default and is changed when the option is given.
inline CLI::Option *add_number(CLI::App &app, const std::string &name, unsigned &number, const std::string &description)
{
    const auto read = [&number, name](const std::string &text) {
        const auto parsed = parse_number<unsigned>(text);
        if (!parsed)
            throw CLI::ValidationError{name, quote(text) + " is no whole number"};
        number = *parsed;
    };
    return app.add_option_function<std::string>(name, read, description)
        ->default_str(std::to_string(number))
        ->type_name("NUMBER");
}

} // namespace qemutap
