// SPDX-License-Identifier: MIT
//
// A new verb needs one line here and one file beside this one.

#include "client/verbs/table.hpp"

#include "client/verbs/args.hpp"
#include "client/verbs/down.hpp"
#include "client/verbs/help.hpp"
#include "client/verbs/list.hpp"
#include "client/verbs/run.hpp"
#include "client/verbs/runqemu.hpp"
#include "client/verbs/up.hpp"

#include <array>

namespace qemutap {

std::span<const Verb *const> all_verbs()
{
    static constexpr std::array<const Verb *, 7> verbs{
        &run_verb, &runqemu_verb, &up_verb, &down_verb, &list_verb, &args_verb, &help_verb,
    };
    return verbs;
}

} // namespace qemutap
