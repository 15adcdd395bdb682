// The calls of setupapi and newdev that PowerShell has no cmdlet for. common.ps1 compiles this file with Add-Type.

using System;
using System.ComponentModel;
using System.Runtime.InteropServices;
using System.Text;

namespace OvpnDco
{
    public static class Devices
    {
        const uint DICD_GENERATE_ID = 1;
        const uint SPDRP_HARDWAREID = 1;
        const uint DIF_REGISTERDEVICE = 0x19;
        const uint DIF_REMOVE = 5;
        const uint INSTALLFLAG_FORCE = 1;
        static readonly Guid NetClass = new Guid("4d36e972-e325-11ce-bfc1-08002be10318");
        static readonly IntPtr InvalidHandle = new IntPtr(-1);

        [StructLayout(LayoutKind.Sequential)]
        struct SP_DEVINFO_DATA
        {
            public int cbSize;
            public Guid ClassGuid;
            public uint DevInst;
            public IntPtr Reserved;
        }

        [DllImport("setupapi.dll", SetLastError = true)]
        static extern IntPtr SetupDiCreateDeviceInfoList(ref Guid classGuid, IntPtr parent);

        [DllImport("setupapi.dll", SetLastError = true)]
        static extern bool SetupDiDestroyDeviceInfoList(IntPtr set);

        [DllImport("setupapi.dll", CharSet = CharSet.Unicode, SetLastError = true)]
        static extern bool SetupDiCreateDeviceInfoW(IntPtr set, string name, ref Guid classGuid, string description, IntPtr parent,
            uint flags, ref SP_DEVINFO_DATA data);

        [DllImport("setupapi.dll", SetLastError = true)]
        static extern bool SetupDiSetDeviceRegistryPropertyW(IntPtr set, ref SP_DEVINFO_DATA data, uint property, byte[] value,
            uint length);

        [DllImport("setupapi.dll", SetLastError = true)]
        static extern bool SetupDiCallClassInstaller(uint function, IntPtr set, ref SP_DEVINFO_DATA data);

        [DllImport("setupapi.dll", CharSet = CharSet.Unicode, SetLastError = true)]
        static extern bool SetupDiGetDeviceInstanceIdW(IntPtr set, ref SP_DEVINFO_DATA data, StringBuilder id, int length,
            IntPtr required);

        [DllImport("newdev.dll", CharSet = CharSet.Unicode, SetLastError = true)]
        static extern bool UpdateDriverForPlugAndPlayDevicesW(IntPtr window, string hardwareId, string inf, uint flags,
            out bool restart);

        // Makes an adapter with that hardware id, which has no driver yet. Its instance id is returned.
        public static string Create(string hardwareId)
        {
            Guid net = NetClass;
            IntPtr set = SetupDiCreateDeviceInfoList(ref net, IntPtr.Zero);
            if (set == InvalidHandle)
            {
                throw Failed("SetupDiCreateDeviceInfoList");
            }
            try
            {
                SP_DEVINFO_DATA data = new SP_DEVINFO_DATA();
                data.cbSize = Marshal.SizeOf(typeof(SP_DEVINFO_DATA));
                Check(SetupDiCreateDeviceInfoW(set, "NET", ref net, null, IntPtr.Zero, DICD_GENERATE_ID, ref data),
                    "SetupDiCreateDeviceInfo");
                // A list of strings: two zeros end it.
                byte[] ids = Encoding.Unicode.GetBytes(hardwareId + "\0\0");
                Check(SetupDiSetDeviceRegistryPropertyW(set, ref data, SPDRP_HARDWAREID, ids, (uint)ids.Length),
                    "SetupDiSetDeviceRegistryProperty");
                Check(SetupDiCallClassInstaller(DIF_REGISTERDEVICE, set, ref data), "DIF_REGISTERDEVICE");
                StringBuilder id = new StringBuilder(256);
                if (!SetupDiGetDeviceInstanceIdW(set, ref data, id, id.Capacity, IntPtr.Zero))
                {
                    Win32Exception error = Failed("SetupDiGetDeviceInstanceId");
                    SetupDiCallClassInstaller(DIF_REMOVE, set, ref data);
                    throw error;
                }
                return id.ToString();
            }
            finally
            {
                SetupDiDestroyDeviceInfoList(set);
            }
        }

        // Every present device with that hardware id gets the driver of that INF (a full path), whatever its rank. True where a restart
        // is needed.
        public static bool UseDriver(string hardwareId, string inf)
        {
            bool restart;
            Check(UpdateDriverForPlugAndPlayDevicesW(IntPtr.Zero, hardwareId, inf, INSTALLFLAG_FORCE, out restart),
                "UpdateDriverForPlugAndPlayDevices");
            return restart;
        }

        static void Check(bool done, string call)
        {
            if (!done)
            {
                throw Failed(call);
            }
        }

        static Win32Exception Failed(string call)
        {
            int code = Marshal.GetLastWin32Error();
            return new Win32Exception(code, call + ": " + new Win32Exception(code).Message + " (0x" + code.ToString("x") + ")");
        }
    }
}
