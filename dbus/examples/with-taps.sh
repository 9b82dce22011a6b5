#!/bin/sh
# SPDX-License-Identifier: MIT
#
# with-taps.sh LABEL COMMAND [ARG...]: runs a command while two taps exist, held by name.
#
# Shows Acquire, List and Release of org.qemutap1 with only a shell and busctl(1). The command and its children can open
# the taps by `ifname=`. The taps stay until Release, even after a crash of this script. To have them deleted after a
# crash, add the option `idle-timeout` or hold them by descriptors.
set -eu

manager="org.qemutap1 /org/qemutap1 org.qemutap1.Manager"
label=$1
shift

# The answer: saa{sv}ah "e94d5ad4de49603f" 2 ...
answer=$(busctl call $manager Acquire 'ua{sv}' 2 2 hold s name label s "$label")
answer=${answer#*\"}
lease=${answer%%\"*}
trap 'busctl call $manager Release s "$lease"' EXIT
trap 'exit 1' HUP INT TERM

# Lists all leases of this user, including the new one.
busctl --json=short call $manager List 'a{sv}' 0
"$@"
