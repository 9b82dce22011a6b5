# SPDX-License-Identifier: MIT
"""The scratch host: a network, file system view, bus and polkit of our own, in which the real daemon and the
real client run. The bus ring, the guest ring and tools/demo run on it, so none of them touches the machine's
own network, bus or users. The plug-ins of pytest that give each module such a host are here too."""
