<#
.SYNOPSIS
Builds the driver package with the WDK: image, INF, catalog, test signature.

.DESCRIPTION
Looks for what is needed and names what is missing. Then cargo-make runs wdk-build's rust-driver makefile with driver.toml on top, in
driver/: cargo build with wdk-sys, stampinf, inf2cat, infverif, a test certificate, signtool. The package is copied to
target\package\x64 or target\package\arm64, its certificate beside those folders, symbols to target\package\symbols.

docs/windows-build.md has the prerequisites.

Exit status: 0 done, 1 something failed.

.PARAMETER Architecture
x64, arm64, or both. Default: x64.

.EXAMPLE
.\build.ps1

.EXAMPLE
.\build.ps1 -Architecture x64, arm64

.EXAMPLE
.\build.ps1 -WhatIf
#>
[CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'Low')]
param(
    [ValidateSet('x64', 'arm64')] [string[]] $Architecture = @('x64')
)

Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'
. (Join-Path $PSScriptRoot 'common.ps1')

$Root = Split-Path -Parent (Split-Path -Parent $PSScriptRoot)
$Targets = @{ x64 = 'x86_64-pc-windows-msvc'; arm64 = 'aarch64-pc-windows-msvc' }
$StampNames = @{ x64 = 'amd64'; arm64 = 'arm64' }

# Every prerequisite that is missing, in one message.
function Assert-Prerequisite {
    $missing = @()
    foreach ($program in @{
            'cargo'      = 'Rust: https://rustup.rs'
            'cargo-make' = 'cargo install --locked cargo-make'
            'clang'      = 'LLVM 17, or 19 and later (bindgen): winget install LLVM.LLVM'
            'git'        = 'git: winget install Git.Git'
        }.GetEnumerator()) {
        if (-not (Get-Command $program.Key -ErrorAction SilentlyContinue)) { $missing += "$($program.Key) ($($program.Value))" }
    }
    $kits = 'HKLM:\SOFTWARE\Microsoft\Windows Kits\Installed Roots', 'HKLM:\SOFTWARE\WOW6432Node\Microsoft\Windows Kits\Installed Roots'
    $kit = @($env:WDKContentRoot) + @($kits | ForEach-Object {
            (Get-Item -LiteralPath $_ -ErrorAction SilentlyContinue) | ForEach-Object { $_.GetValue('KitsRoot10') }
        }) | Where-Object { $_ } | Select-Object -First 1
    if (-not $kit -or -not (Get-ChildItem -Path (Join-Path $kit 'Include\*\km\ntddk.h') -ErrorAction SilentlyContinue)) {
        $missing += 'the WDK (an eWDK prompt, or the WDK installed, or WDKContentRoot set to the folder c of its NuGet package)'
    }
    if (Get-Command rustup -ErrorAction SilentlyContinue) {
        $have = (Invoke-Program rustup 'target', 'list', '--installed') -split "`r?`n"
        foreach ($name in $Architecture) {
            if ($have -notcontains $Targets[$name]) { $missing += "a Rust target: rustup target add $($Targets[$name])" }
        }
    }
    if ($env:RUSTFLAGS) { $missing += 'RUSTFLAGS not set: it would replace the flags of .cargo/config.toml' }
    if ($missing) { throw "expected, and not found:`n  $($missing -join "`n  ")" }
}

# The date of the package: not the clock's, so that the same sources give the same INF.
function Get-PackageDate {
    $seconds = $env:SOURCE_DATE_EPOCH
    if (-not $seconds) { $seconds = (Invoke-Program git '-C', $Root, 'log', '-1', '--format=%ct').Trim() }
    $day = [DateTimeOffset]::FromUnixTimeSeconds([long] $seconds).UtcDateTime
    $day.ToString('MM/dd/yyyy', [Globalization.CultureInfo]::InvariantCulture)
}

Assert-Prerequisite
$manifest = Join-Path $Root 'Cargo.toml'
$metadata = cargo metadata --locked --format-version 1 --no-deps --manifest-path $manifest | ConvertFrom-Json
if ($LASTEXITCODE -ne 0) { throw "cargo metadata: exit status $LASTEXITCODE" }
$version = "$(($metadata.packages | Where-Object name -EQ 'ovpn-dco').version).0"
# wdk-build is optional. All dependencies are more than Windows PowerShell's ConvertFrom-Json takes.
$all = (cargo metadata --locked --all-features --format-version 1 --manifest-path $manifest) -join ''
$found = [regex]::Matches($all, '"manifest_path":"([^"]+[\\/]wdk-build-[0-9][^"\\/]*)[\\/]+Cargo\.toml"')
if ($found.Count -ne 1) { throw "Cargo.lock: expected one wdk-build, found $($found.Count)" }
$makefile = Join-Path $found[0].Groups[1].Value.Replace('\\', '\') 'rust-driver-makefile.toml'
$date = Get-PackageDate

$work = Join-Path $metadata.target_directory 'wdk'
$packages = Join-Path $metadata.target_directory 'package'
Write-Step "ovpn-dco $version, $date, into $packages"
if (-not $PSCmdlet.ShouldProcess($packages, "cargo make, for $($Architecture -join ' and ')")) { exit 0 }
$null = New-Item -ItemType Directory -Force -Path $work, $packages

# Literal strings of TOML: nothing in a path is an escape.
$merged = Join-Path $work 'Makefile.toml'
Set-Content -LiteralPath $merged -Encoding ASCII -Value "extend = [{ path = '$makefile' }, { path = '$PSScriptRoot\driver.toml' }]"
$inx = Join-Path $work 'ovpn-dco.inx'
$text = [IO.File]::ReadAllText((Join-Path $Root 'inf\ovpn-dco.inx')) -replace "`r?`n", "`r`n"
[IO.File]::WriteAllText($inx, $text, [Text.Encoding]::ASCII)

foreach ($name in $Architecture) {
    $env:OVPN_DCO_INX = $inx
    $env:OVPN_DCO_DATE = $date
    $env:OVPN_DCO_VERSION = $version
    $env:OVPN_DCO_ARCH = $StampNames[$name]
    $options = '--locked', '--features', 'wdk', '--profile', 'driver', '--target', $Targets[$name]
    cargo make --cwd (Join-Path $Root 'driver') --makefile $merged package-driver-flow @options
    if ($LASTEXITCODE -ne 0) { throw "cargo make, $name`: exit status $LASTEXITCODE" }

    $built = Join-Path $metadata.target_directory "$($Targets[$name])\driver"
    $folder = Join-Path $packages $name
    $symbols = Join-Path $packages "symbols\$name"
    $null = New-Item -ItemType Directory -Force -Path $folder, $symbols
    foreach ($file in $PackageFiles) {
        Copy-Item -LiteralPath (Join-Path $built "ovpn_dco_package\$file") -Destination $folder
    }
    Copy-Item -LiteralPath (Join-Path $built 'ovpn_dco_package\WDRLocalTestCert.cer') -Destination (Join-Path $packages 'ovpn-dco-test.cer')
    Copy-Item -LiteralPath (Join-Path $built 'ovpn_dco.pdb') -Destination (Join-Path $symbols 'ovpn-dco.pdb')
    Write-Step "package: $folder"
}
