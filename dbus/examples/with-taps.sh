#!/bin/sh
# SPDX-License-Identifier: MIT
#
# with-taps.sh LABEL COMMAND [ARG...]: runs a command while two taps are there, held by their names.
#
# Shows org.qemutap1 with nothing but a shell and busctl(1): Acquire, List, Release. The command, or what it starts, may
# open the taps by `ifname=`. They stay until Release: whoever wants them gone after a crash too gives the option
# `idle-timeout` as well, or holds them by descriptors.
set -eu

manager="org.qemutap1 /org/qemutap1 org.qemutap1.Manager"
label=$1
shift

# saa{sv}ah "e94d5ad4de49603f" 2 ...
answer=$(busctl call $manager Acquire 'ua{sv}' 2 2 hold s name label s "$label")
answer=${answer#*\"}
lease=${answer%%\"*}
trap 'busctl call $manager Release s "$lease"' EXIT
trap 'exit 1' HUP INT TERM

# All leases of this user's, the new one among them.
busctl --json=short call $manager List 'a{sv}' 0
"$@"
