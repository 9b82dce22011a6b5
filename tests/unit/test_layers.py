# SPDX-License-Identifier: MIT
"""The folders are layers, and includes point inward only. The edges (host, bus, programs) know the core, the core knows
the values, and the values know nothing else. Every include of the project's files is a full path from the root."""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
INCLUDE = re.compile(r'^#include (["<])([^">]+)[">]', re.MULTILINE)
LIBRARIES = ("netlink/", "linux/", "sdbus-c++/", "systemd/", "spdlog/", "fmt/", "CLI/", "nlohmann/",
             "cap-ng.h", "seccomp.h")
FOLDERS = ("common", "contract", "plan", "daemon", "client")
GENERATED = {"config.h", "org.qemutap1-adaptor.h", "org.qemutap1-proxy.h"}

# Folder: the folders that it may include, and the libraries. The longest folder that contains a file applies.
MAY = {
    "common": (("common/",), ()),
    "common/sdbus_compat.hpp": ((), ("sdbus-c++/",)),
    "common/number_option.hpp": (("common/",), ("CLI/",)),
    "contract": (("common/", "contract/"), ()),
    "plan": (("common/", "contract/", "plan/"), ()),
    "daemon/core": (("common/", "contract/", "plan/", "daemon/core/"), ()),
    "daemon/host": (("common/", "contract/", "plan/", "daemon/core/", "daemon/host/"), ("netlink/", "linux/")),
    "daemon/bus": (("common/", "contract/", "plan/", "daemon/core/", "daemon/bus/", "daemon/log.hpp"), ()),
    "daemon/bus/hand_overs.cpp": (("common/", "contract/", "daemon/core/", "daemon/bus/"), ("linux/",)),
    "daemon/bus/raw_message.hpp": (("common/",), ("systemd/",)),
    "daemon/log.cpp": (("daemon/log.hpp",), ("spdlog/",)),
    "daemon/privileges.cpp": (("common/", "daemon/privileges.hpp"), ("cap-ng.h",)),
    "daemon/system_calls.cpp": (("daemon/privileges.hpp",), ("seccomp.h",)),
    "daemon/options.cpp": (("common/", "contract/", "plan/", "daemon/options.hpp", "daemon/privileges.hpp"), ("CLI/",)),
    "daemon": (("common/", "contract/", "plan/", "daemon/"), ("systemd/",)),
    "client/guest": (("common/", "contract/", "client/guest/"), ()),
    "client/vmm": (("common/", "contract/", "client/guest/", "client/vmm/"), ()),
    "client/show": (("common/", "contract/", "client/guest/", "client/vmm/", "client/show/"), ("nlohmann/",)),
    "client/bus": (("common/", "contract/", "client/bus/"), ()),
    "client/bus/password_agent.cpp": (("common/", "contract/", "client/bus/"), ("systemd/",)),
    "client/launch": (("common/", "client/launch/"), ()),
    "client/launch/become_user.cpp": (("common/", "client/launch/"), ("linux/",)),
    "client/verbs": (("common/", "contract/", "client/"), ("CLI/",)),
    "client": (("common/", "contract/", "client/"), ()),
    "client/programs/tap_helper":
        (("common/", "contract/", "client/programs/tap_helper/", "client/bus/manager_proxy.hpp"), ()),
    "client/programs/tap_helper/options.cpp": (("common/", "contract/", "client/programs/tap_helper/"), ("CLI/",)),
    "client/programs/vm_powerdown": (("common/", "client/programs/vm_powerdown/", "client/launch/become_user.hpp"), ()),
    "client/programs/vm_powerdown/powerdown_dialogue.cpp":
        (("common/", "client/programs/vm_powerdown/"), ("nlohmann/",)),
}


def rule_of(path):
    fitting = [place for place in MAY if path == place or path.startswith(place + "/")]
    return MAY[max(fitting, key=len)]


class Layers(unittest.TestCase):
    def sources(self):
        files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.[ch]pp"))]
        self.assertGreater(len(files), 50, "the sources were not found")
        return files

    def test_arrows(self):
        """No file includes a layer further out than its own, or a library that its layer must not use."""
        for file in self.sources():
            path = str(file.relative_to(ROOT))
            ours, libraries = rule_of(path)
            for quote, included in INCLUDE.findall(file.read_text(encoding="utf-8")):
                with self.subTest(file=path, includes=included):
                    if quote == '"' and included not in GENERATED:
                        self.assertTrue((ROOT / included).is_file(), "the include is not a full path from the root")
                        self.assertTrue(included.startswith(ours), "the include points outward")
                    elif included.startswith(LIBRARIES):
                        self.assertTrue(included.startswith(libraries), "the library belongs to another layer")

    def test_licence(self):
        """Every source begins with its licence and a paragraph that says why it exists."""
        for file in self.sources():
            with self.subTest(file=file.name):
                lines = file.read_text(encoding="utf-8").splitlines()
                self.assertEqual(lines[0], "// SPDX-License-Identifier: MIT")
                self.assertRegex(lines[2], r"^// \w")


if __name__ == "__main__":
    unittest.main()
