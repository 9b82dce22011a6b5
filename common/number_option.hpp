// SPDX-License-Identifier: MIT
//
// Declares number options for command lines and configuration files, with the one spelling of common/number.hpp.
// CLI11's own reader accepts "" as 0, "010" as 8 and "0x10" as 16.

#pragma once

#include "common/number.hpp"
#include "common/quote.hpp"

#include <CLI/CLI.hpp>

#include <string>

namespace qemutap {

// Declares an option for a number. `number` holds the default; CLI11 changes it when the option is given.
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
