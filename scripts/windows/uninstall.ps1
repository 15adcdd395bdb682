<#
.SYNOPSIS
Removes what install.ps1 and adapter.ps1 added, and nothing else.

.DESCRIPTION
Goes: every driver package of this project, recognised by its provider, never by the hardware id, which OpenVPN's own driver has too;
adapters that adapter.ps1 made; certificates that install.ps1 put into the machine's stores.

Stays: OpenVPN's own driver and the adapters its installer or tapctl made. Windows gives those the next best driver in the store,
which is OpenVPN's where it is installed. Test signing stays as it is: test-signing.ps1 -State Off.

Exit status: 0 done, 1 something failed, 3 restart the machine to finish.

.PARAMETER KeepAdapter
Leaves the adapters that adapter.ps1 made; they get another driver, or none.

.PARAMETER KeepCertificate
Leaves the certificates trusted, for the next package that is signed with the same.

.EXAMPLE
.\uninstall.ps1

.EXAMPLE
.\uninstall.ps1 -WhatIf

Tells what would go.
#>
[CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'Medium')]
param(
    [switch] $KeepAdapter,
    [switch] $KeepCertificate
)

Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'
. (Join-Path $PSScriptRoot 'common.ps1')

Assert-Administrator
$restart = $false

if (-not $KeepAdapter) {
    foreach ($adapter in Get-DcoAdapter | Where-Object Made) {
        if ($PSCmdlet.ShouldProcess($adapter.InstanceId, 'pnputil /remove-device')) {
            $null = Invoke-Program pnputil '/remove-device', $adapter.InstanceId -Allowed 0, $RestartNeeded
            $restart = $restart -or $LASTEXITCODE -eq $RestartNeeded
            Clear-Note 'Adapters' $adapter.InstanceId
            Write-Step "adapter $($adapter.InstanceId): removed"
        }
    }
}

$ours = @(Get-DcoPackage | Where-Object Ours)
if ($ours.Count -eq 0) { Write-Step "driver store: no package of '$Provider'" }
foreach ($package in $ours) {
    if ($PSCmdlet.ShouldProcess("$($package.Inf) ($($package.Provider) $($package.Version))", 'pnputil /delete-driver /uninstall')) {
        $null = Invoke-Program pnputil '/delete-driver', $package.Inf, '/uninstall' -Allowed 0, $RestartNeeded
        $restart = $restart -or $LASTEXITCODE -eq $RestartNeeded
        Write-Step "driver store: $($package.Inf) removed"
    }
}

if (-not $KeepCertificate) {
    foreach ($note in @(Get-Note 'Certificates')) {
        $path = "Cert:\LocalMachine\$note"
        if ((Test-Path -LiteralPath $path) -and $PSCmdlet.ShouldProcess($path, 'trust no longer')) {
            Remove-Item -LiteralPath $path -Confirm:$false
            Write-Step "certificate: $note removed"
        }
        if (-not $WhatIfPreference) { Clear-Note 'Certificates' $note }
    }
}

foreach ($adapter in Get-DcoAdapter) {
    $driver = if ($adapter.Inf) { "$($adapter.Provider), $($adapter.Inf)" } else { 'no driver: install OpenVPN again, or remove it there' }
    Write-Step "adapter $($adapter.InstanceId): $driver"
}
$left = @(Get-Note 'Adapters') + @(Get-Note 'Certificates')
if ($left.Count -eq 0 -and (Test-Path -LiteralPath $NotesKey) -and $PSCmdlet.ShouldProcess($NotesKey, 'remove')) {
    Remove-Item -LiteralPath $NotesKey -Recurse -Confirm:$false
}
if ($restart) {
    Write-Step 'restart the machine to finish'
    exit 3
}
