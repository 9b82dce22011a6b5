# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Work of tools/check for the background, to be sourced by it: images, root file systems, packages, builds and clang-tidy,
# each only if a ring of this run needs it. tools/jobs.sh runs them.
# shellcheck disable=SC2154 # build and sanitized_setup are the caller's

make_images() {
    tests/guest/images/build cloud pnp
    # Without these images only the tests that boot them fail.
    tests/guest/images/build arm64 armhf || true
}

make_roots() {
    if wants system; then
        tests/system/roots
    else
        tests/system/roots build trixie
        ! wants faults || tests/system/roots boot trixie
    fi
}

build_sanitized() {
    set_up build-sanitize "ccache clang++" "${sanitized_setup[@]}"
    if wants sanitize; then
        meson compile -C build-sanitize
    else
        meson compile -C build-sanitize qemu-tapd qemu-tapctl
    fi
}

build_fuzz() {
    set_up build-fuzz "ccache clang++" -Dfuzz=true
    meson compile -C build-fuzz fuzz
}

# A release whose packages can't be built fails the tests that install them, and no others.
build_packages() {
    local release releases=(trixie) # the ring `faults` boots this release alone
    ! wants system || releases=(bookworm trixie)
    for release in "${releases[@]}"; do
        tests/system/packages "$release" "$build/debs/$release" || true
    done
}

build_debian13() {
    in_debian13 sh -c 'cd /tree && { [ -e build/build.ninja ] || meson setup -Dwerror=true build; } && meson compile -C build'
}

tidy() {
    # It reads the headers that the build generates.
    until [[ -e $jobs_folder/built ]]; do sleep 0.2; done
    tools/tidy "$build"
}

start_background() {
    if [[ -z ${QEMU_TAPCTL_PREPARED:-} ]]; then
        ! wants guest system debian13 || add_job images make_images
        ! wants system faults debian13 || add_job roots make_roots
    fi
    ! wants system faults || add_job packages build_packages
    ! wants sanitize faults || add_job sanitized-build build_sanitized
    ! wants faults || add_job fuzz-build build_fuzz
    ! wants debian13 || add_job debian13-build build_debian13
    ! wants tidy || add_job tidy tidy
    start_jobs "$build/jobs"
}
