<#
.SYNOPSIS
Makes, lists and removes OpenVPN's data channel adapters.

.DESCRIPTION
-Create makes one with the hardware id that OpenVPN looks for, gives it this project's driver and notes that it was made here. -Remove
removes adapters with that note only: those of OpenVPN's installer or tapctl are told, and stay. Without either it lists all of them.

OpenVPN 2.7 makes adapters by itself when it needs more, through its service; they get the driver that Windows ranks highest.

Exit status: 0 done, 1 something failed, 3 restart the machine.

.PARAMETER Create
Makes one.

.PARAMETER Name
The connection's name, as Windows shows it and as OpenVPN's --dev-node takes it. Default: what Windows chooses.

.PARAMETER Remove
Removes the adapters that -Create made.

.PARAMETER InstanceId
Of those, this one alone.

.EXAMPLE
.\adapter.ps1

.EXAMPLE
.\adapter.ps1 -Create -Name 'OpenVPN DCO'

.EXAMPLE
.\adapter.ps1 -Remove -WhatIf
#>
[CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'Medium', DefaultParameterSetName = 'List')]
param(
    [Parameter(ParameterSetName = 'Create', Mandatory)] [switch] $Create,
    [Parameter(ParameterSetName = 'Create')] [string] $Name,
    [Parameter(ParameterSetName = 'Remove', Mandatory)] [switch] $Remove,
    [Parameter(ParameterSetName = 'Remove')] [string] $InstanceId
)

Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'
. (Join-Path $PSScriptRoot 'common.ps1')

function New-DcoAdapter {
    [CmdletBinding(SupportsShouldProcess)]
    param()
    $package = Get-DcoPackage | Where-Object Ours | Sort-Object Version | Select-Object -Last 1
    if (-not $package) {
        throw "expected a driver of '$Provider' in the driver store, found none: use install.ps1"
    }
    if (-not $PSCmdlet.ShouldProcess($HardwareId, 'make an adapter')) { return }
    Import-DeviceApi
    $id = [OvpnDco.Devices]::Create($HardwareId)
    # Noted before anything else can fail: what was made here can be removed here.
    Add-Note 'Adapters' $id
    $restart = Set-DcoDriver -Inf (Join-Path $package.Folder 'ovpn-dco.inf')

    $adapter = $null
    $deadline = (Get-Date).AddSeconds(60)
    while (-not ($adapter = Get-NetAdapter -IncludeHidden | Where-Object PnPDeviceID -EQ $id)) {
        if ($restart) { break }
        if ((Get-Date) -gt $deadline) {
            $state = Get-PnpDevice -InstanceId $id | Format-List -Property @('Status', 'Problem') | Out-String
            throw "adapter ${id}: expected it to work within 60 s, got: $state"
        }
        Start-Sleep -Milliseconds 500
    }
    if ($Name -and $adapter) {
        $adapter | Rename-NetAdapter -NewName $Name
    }
    Write-Step "adapter ${id}: made$(if ($restart) { ', in force after a restart' })"
    if ($restart) { exit 3 }
}

function Remove-DcoAdapter {
    [CmdletBinding(SupportsShouldProcess)]
    param()
    $restart = $false
    $adapters = @(Get-DcoAdapter)
    if ($InstanceId) {
        $adapters = @($adapters | Where-Object InstanceId -EQ $InstanceId)
        if ($adapters.Count -eq 0) { throw "-InstanceId: expected an adapter '$InstanceId', found none" }
        if (-not $adapters[0].Made) { throw "-InstanceId: '$InstanceId' was not made by this script; who made it can remove it" }
    }
    foreach ($adapter in $adapters) {
        if (-not $adapter.Made) {
            Write-Step "adapter $($adapter.InstanceId): stays, another program made it"
        }
        elseif ($PSCmdlet.ShouldProcess($adapter.InstanceId, 'pnputil /remove-device')) {
            $null = Invoke-Program pnputil '/remove-device', $adapter.InstanceId -Allowed 0, $RestartNeeded
            $restart = $restart -or $LASTEXITCODE -eq $RestartNeeded
            Clear-Note 'Adapters' $adapter.InstanceId
            Write-Step "adapter $($adapter.InstanceId): removed"
        }
    }
    if ($restart) {
        Write-Step 'restart the machine to finish'
        exit 3
    }
}

if ($Create) {
    Assert-Administrator
    New-DcoAdapter
}
elseif ($Remove) {
    Assert-Administrator
    Remove-DcoAdapter
}
else {
    Get-DcoAdapter
}
