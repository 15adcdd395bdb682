<#
.SYNOPSIS
Replaces the installed driver of this project by the one of a package folder.

.DESCRIPTION
install.ps1 with that package; then the driver packages of this project that no adapter uses any more leave the driver store. Nothing of
another provider is touched.

Exit status: 0 done, 1 something failed, 3 restart the machine, then run it again.

.PARAMETER Package
The folder with ovpn-dco.inf, ovpn-dco.sys and ovpn-dco.cat of this machine's architecture.

.PARAMETER Certificate
As for install.ps1.

.PARAMETER AllowOlder
Permits a package of a lower version than the installed one.

.EXAMPLE
.\update.ps1 -Package ..\x64

.EXAMPLE
.\update.ps1 -Package D:\before\x64 -AllowOlder -WhatIf
#>
[CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'Medium')]
param(
    [Parameter(Mandatory)] [string] $Package,
    [string] $Certificate,
    [switch] $AllowOlder
)

Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'
. (Join-Path $PSScriptRoot 'common.ps1')

Assert-Administrator
$folder = (Resolve-Path -LiteralPath $Package).ProviderPath
$installed = @(Get-DcoPackage | Where-Object Ours)
if ($installed.Count -eq 0) {
    throw "expected a driver of '$Provider' to be installed, found none: use install.ps1"
}
$inf = Get-Content -LiteralPath (Join-Path $folder 'ovpn-dco.inf') -Raw
if ($inf -notmatch '(?m)^\s*DriverVer\s*=\s*[\d/]+\s*,\s*([\d.]+)') {
    throw "-Package: expected a DriverVer in '$folder\ovpn-dco.inf', found none"
}
$version = [version] $Matches[1]
$newest = ($installed | Sort-Object Version | Select-Object -Last 1).Version
if ($version -lt $newest -and -not $AllowOlder) {
    throw "-Package: version $version is older than the installed $newest; -AllowOlder permits it"
}

$options = @{ Package = $folder; WhatIf = $WhatIfPreference }
if ($Certificate) { $options['Certificate'] = $Certificate }
& (Join-Path $PSScriptRoot 'install.ps1') @options
if ($LASTEXITCODE -eq 3) { exit 3 }

$same = Find-SamePackage $folder
if (-not $same) {
    # Only -WhatIf gets here: there is no new package to keep.
    Write-Step "would remove: $($installed.Inf -join ', ')"
    exit 0
}
$used = @(Get-DcoAdapter | ForEach-Object Inf)
foreach ($old in $installed | Where-Object Inf -NE $same.Inf) {
    if ($used -contains $old.Inf) {
        Write-Step "driver store: $($old.Inf) stays, an adapter uses it"
    }
    elseif ($PSCmdlet.ShouldProcess("$($old.Inf) ($($old.Provider) $($old.Version))", 'pnputil /delete-driver')) {
        $null = Invoke-Program pnputil '/delete-driver', $old.Inf
        Write-Step "driver store: $($old.Inf) removed"
    }
}
