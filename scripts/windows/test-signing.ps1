<#
.SYNOPSIS
Lets this Windows load drivers with a test signature, or no longer.

.DESCRIPTION
Sets the boot entry's option testsigning; a restart puts it in force. Two things stand in the way on many machines, and the script says
so before it changes anything: Secure Boot, which forbids the option (switch it off in the firmware's setup), and BitLocker, which
asks for the recovery key after a change of boot options (-SuspendBitLocker pauses it for one restart).

Exit status: 0 as wanted and in force, 1 something failed, 3 restart the machine.

.PARAMETER State
On, Off, or Query (default): tells how it is now and after the next restart.

.PARAMETER SuspendBitLocker
Suspends BitLocker on the system drive for one restart.

.EXAMPLE
.\test-signing.ps1

.EXAMPLE
.\test-signing.ps1 -State On -SuspendBitLocker

.EXAMPLE
.\test-signing.ps1 -State Off -WhatIf
#>
[CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'Medium')]
param(
    [ValidateSet('On', 'Off', 'Query')] [string] $State = 'Query',
    [switch] $SuspendBitLocker
)

Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'
. (Join-Path $PSScriptRoot 'common.ps1')

# What the boot entry says. bcdedit answers in the language of the machine; the store itself has none.
function Test-BootOption {
    $entry = Invoke-Program bcdedit '/enum', '{current}', '/v'
    if ($entry -notmatch '\{[0-9a-fA-F-]{36}\}') { throw "bcdedit: expected the boot entry's identifier, got: $entry" }
    $elements = "HKLM:\BCD00000000\Objects\$($Matches[0])\Elements"
    if (-not (Test-Path -LiteralPath $elements)) { throw "the boot store: expected $elements, found none" }
    # BcdLibraryBoolean_AllowPrereleaseSignatures
    $key = Join-Path $elements '16000049'
    (Test-Path -LiteralPath $key) -and (Get-ItemProperty -LiteralPath $key).Element[0] -ne 0
}

function Test-SecureBoot {
    # A machine without UEFI has none, and the cmdlet says so with an error. Where it fails for another reason, bcdedit refuses by itself.
    try { Confirm-SecureBootUEFI } catch { $false }
}

function Test-BitLocker {
    if (-not (Get-Command Get-BitLockerVolume -ErrorAction SilentlyContinue)) { return $false }
    (Get-BitLockerVolume -MountPoint $env:SystemDrive).ProtectionStatus -eq 'On'
}

Assert-Administrator
$running = Test-TestSigning
$next = Test-BootOption
Write-Step "test signing: $(if ($running) { 'on' } else { 'off' }), after a restart $(if ($next) { 'on' } else { 'off' })"
if ($State -eq 'Query') { exit 0 }

$wanted = $State -eq 'On'
if ($next -ne $wanted) {
    if ($wanted -and (Test-SecureBoot)) {
        throw 'Secure Boot is on, and Windows refuses test signing then: switch it off in the firmware''s setup first'
    }
    if (Test-BitLocker) {
        if (-not $SuspendBitLocker) {
            throw "BitLocker protects $env:SystemDrive and would ask for the recovery key after the restart: run it with -SuspendBitLocker"
        }
        if ($PSCmdlet.ShouldProcess($env:SystemDrive, 'Suspend-BitLocker for one restart')) {
            $null = Suspend-BitLocker -MountPoint $env:SystemDrive -RebootCount 1 -Confirm:$false
            Write-Step "BitLocker: suspended on $env:SystemDrive until after the restart"
        }
    }
    if ($PSCmdlet.ShouldProcess('boot entry {current}', "bcdedit /set testsigning $($State.ToLowerInvariant())")) {
        $null = Invoke-Program bcdedit '/set', '{current}', 'testsigning', $State.ToLowerInvariant()
        Write-Step "test signing: $($State.ToLowerInvariant()) after a restart"
    }
}
if ($running -ne $wanted -and -not $WhatIfPreference) {
    Write-Step 'restart the machine'
    exit 3
}
