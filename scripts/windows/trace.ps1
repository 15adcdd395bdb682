<#
.SYNOPSIS
Collects what a bug report needs into one file.

.DESCRIPTION
Starts a trace, waits while you make the fault happen, stops it, adds what the machine says of the driver, and packs everything into one
.zip. In it: the trace of the driver and of NDIS; adapters, driver packages, their files' hashes and signatures; the driver's version, counters and drop
reasons (with dco-cli.exe); Windows' log of device installations, the parts that name ovpn-dco; the system log's entries of the last day
that name it; the version of Windows.

No packet and no key is in it. Addresses, names of adapters and of the machine are: look into the file before you send it.

Exit status: 0 done, 1 something failed.

.PARAMETER Path
The .zip. Default: ovpn-dco-TIME.zip on the desktop.

.PARAMETER Cli
dco-cli.exe. Default: beside this script. Without it the driver's counters are missing, and the file says so.

.PARAMETER Seconds
Traces that long instead of waiting for Enter. 0: no trace, only the machine's state.

.EXAMPLE
.\trace.ps1

.EXAMPLE
.\trace.ps1 -Seconds 30 -Path C:\temp\report.zip

.EXAMPLE
.\trace.ps1 -WhatIf
#>
[CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'Low')]
param(
    [string] $Path = (Join-Path ([Environment]::GetFolderPath('Desktop')) ('ovpn-dco-{0:yyyyMMdd-HHmmss}.zip' -f (Get-Date))),
    [string] $Cli = (Join-Path $PSScriptRoot 'dco-cli.exe'),
    [ValidateRange(-1, 3600)] [int] $Seconds = -1
)

Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'
. (Join-Path $PSScriptRoot 'common.ps1')

$Session = 'ovpn-dco-trace'
# The first one begins the session, others join it. The second is the driver: OpenVPN.DcoRs (docs/events.md).
$Sources = @('Microsoft-Windows-NDIS', '{1febeb07-696a-5cda-9c9d-a663f210b0a6}')
# PLA_E_DCS_NOT_FOUND: there is no such session.
$NoSuchSession = -2144337918

function Invoke-Trace([string] $Folder) {
    # A session that a broken run left is ended first.
    $null = Invoke-Program logman 'stop', $Session, '-ets' -Allowed @(0, $NoSuchSession)
    $null = Invoke-Program logman 'create', 'trace', $Session, '-ets', '-o', (Join-Path $Folder 'trace.etl'), '-f', 'bincirc',
        '-max', '128', '-p', $Sources[0]
    try {
        foreach ($source in $Sources | Select-Object -Skip 1) {
            $null = Invoke-Program logman 'update', 'trace', $Session, '-ets', '-p', $source
        }
        if ($Seconds -gt 0) {
            Write-Step "trace: $Seconds s"
            Start-Sleep -Seconds $Seconds
        }
        else {
            $null = Read-Host 'trace: make the fault happen, then press Enter'
        }
    }
    finally {
        $null = Invoke-Program logman 'stop', $Session, '-ets' -Allowed @(0, $NoSuchSession)
    }
}

# One part of the report: what it says, or why there is nothing. A part that fails does not take the others with it.
function Save-Part([string] $Folder, [string] $Name, [scriptblock] $Part) {
    try {
        $text = & $Part | Out-String -Width 200
    }
    catch {
        $text = "failed: $_"
    }
    Set-Content -LiteralPath (Join-Path $Folder "$Name.txt") -Value $text -Encoding UTF8
}

# The sections of setupapi.dev.log that name the driver; each begins with ">>>  [" and ends with the next one.
function Get-SetupSection {
    $sections = [regex]::Split((Get-Content -LiteralPath "$env:SystemRoot\INF\setupapi.dev.log" -Raw), '(?m)^(?=>>>  \[)')
    $sections | Where-Object { $_ -match 'ovpn-dco' } | Select-Object -Last 20
}

function Get-DriverFile {
    foreach ($package in Get-DcoPackage) {
        $package | Format-List
        foreach ($name in $PackageFiles) {
            $file = Join-Path $package.Folder $name
            if (-not (Test-Path -LiteralPath $file)) {
                "${name}: missing"
                continue
            }
            $signature = Get-AuthenticodeSignature -LiteralPath $file
            $signer = if ($signature.SignerCertificate) { $signature.SignerCertificate.Subject } else { 'nobody' }
            "$name $((Get-FileHash -LiteralPath $file).Hash) signed by $signer ($($signature.Status))"
        }
    }
    'service:'
    Get-ItemProperty 'HKLM:\SYSTEM\CurrentControlSet\Services\ovpn-dco' -ErrorAction SilentlyContinue |
        Select-Object -Property @('ImagePath', 'Start', 'DisplayName') | Format-List
}

function Get-DriverCounter {
    if (-not (Test-Path -LiteralPath $Cli -PathType Leaf)) { return "no dco-cli.exe at '$Cli'" }
    foreach ($command in 'version', 'stats', 'drops') {
        "dco-cli $command"
        Invoke-Program $Cli $command -Allowed (0..255)
    }
}

Assert-Administrator
$target = $PSCmdlet.SessionState.Path.GetUnresolvedProviderPathFromPSPath($Path)
if (Test-Path -LiteralPath $target) { throw "-Path: '$target' exists already" }
if (-not $PSCmdlet.ShouldProcess($target, 'trace driver and NDIS, collect the state of the driver and pack it')) { exit 0 }

$folder = Join-Path ([IO.Path]::GetTempPath()) "ovpn-dco-$([guid]::NewGuid())"
$null = New-Item -ItemType Directory -Path $folder
try {
    Save-Part $folder 'counters-before' { Get-DriverCounter }
    if ($Seconds -ne 0) { Invoke-Trace $folder }
    Save-Part $folder 'counters' { Get-DriverCounter }
    Save-Part $folder 'adapters' { Get-DcoAdapter | Format-List; Get-NetAdapter -IncludeHidden | Format-Table -AutoSize }
    Save-Part $folder 'drivers' { Get-DriverFile }
    Save-Part $folder 'setup' { Get-SetupSection }
    Save-Part $folder 'events' {
        Get-WinEvent -FilterHashtable @{ LogName = 'System'; StartTime = (Get-Date).AddDays(-1) } |
            Where-Object Message -Match 'ovpn-dco' |
            Format-List -Property @('TimeCreated', 'ProviderName', 'Id', 'LevelDisplayName', 'Message')
    }
    Save-Part $folder 'machine' {
        Get-CimInstance Win32_OperatingSystem | Format-List -Property @('Caption', 'Version', 'OSArchitecture', 'LastBootUpTime')
        "test signing in force: $(Test-TestSigning)"
    }
    Compress-Archive -Path (Join-Path $folder '*') -DestinationPath $target
}
finally {
    Remove-Item -LiteralPath $folder -Recurse -Force
}
Write-Step "report: $target"
