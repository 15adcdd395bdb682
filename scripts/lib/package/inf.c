/* Reads an INF by the setup library of Windows, or of Wine, and prints what it understood: one line an entry, strings replaced.
 *
 * usage: inf.exe FILE.inf
 */
#define UNICODE
#include <windows.h>
#include <setupapi.h>
#include <stdio.h>

static int failed(const char *what)
{
    fprintf(stderr, "%s: error %lu\n", what, (unsigned long)GetLastError());
    return 1;
}

/* The fields of a line; field 0 is its key. */
static void print_line(const WCHAR *section, INFCONTEXT *line)
{
    WCHAR text[512];
    DWORD fields = SetupGetFieldCount(line), i;

    printf("[%ls]", section);
    for (i = 0; i <= fields; i++) {
        if (!SetupGetStringField(line, i, text, ARRAYSIZE(text), NULL))
            text[0] = 0;
        printf("%s%ls", i == 0 ? " " : i == 1 ? " = " : ", ", text);
    }
    printf("\n");
}

static int print_section(HINF inf, const WCHAR *section)
{
    INFCONTEXT line;

    if (!SetupFindFirstLineW(inf, section, NULL, &line)) {
        fprintf(stderr, "no section [%ls], or nothing in it\n", section);
        return 1;
    }
    do
        print_line(section, &line);
    while (SetupFindNextLine(&line, &line));
    return 0;
}

/* Sections that others name: [Version], [Manufacturer], the models of the system it runs on, what they install. */
int main(void)
{
    WCHAR path[MAX_PATH], section[128], decoration[64], name[256];
    INFCONTEXT maker, model;
    UINT wrong;
    HINF inf;
    int argc, errors = 0;
    WCHAR **argv = CommandLineToArgvW(GetCommandLineW(), &argc);

    if (argc != 2)
        return failed("which file");
    if (!GetFullPathNameW(argv[1], MAX_PATH, path, NULL))
        return failed("path");
    inf = SetupOpenInfFileW(path, L"Net", INF_STYLE_WIN4, &wrong);
    if (inf == INVALID_HANDLE_VALUE) {
        fprintf(stderr, "line %u: ", wrong);
        return failed("SetupOpenInfFile");
    }
    errors += print_section(inf, L"Version");
    errors += print_section(inf, L"Manufacturer");
    errors += print_section(inf, L"SourceDisksNames");
    errors += print_section(inf, L"SourceDisksFiles");
    errors += print_section(inf, L"DestinationDirs");
    if (!SetupFindFirstLineW(inf, L"Manufacturer", NULL, &maker) ||
        !SetupGetStringField(&maker, 1, name, ARRAYSIZE(name), NULL) ||
        !SetupGetStringField(&maker, 2, decoration, ARRAYSIZE(decoration), NULL))
        return failed("[Manufacturer]");
    swprintf(section, ARRAYSIZE(section), L"%ls.%ls", name, decoration);
    errors += print_section(inf, section);
    if (!SetupFindFirstLineW(inf, section, NULL, &model) ||
        !SetupGetStringField(&model, 1, name, ARRAYSIZE(name), NULL))
        return failed("models");
    errors += print_section(inf, name);
    swprintf(section, ARRAYSIZE(section), L"%ls.HW", name);
    errors += print_section(inf, section);
    swprintf(section, ARRAYSIZE(section), L"%ls.Services", name);
    errors += print_section(inf, section);
    /* AddService = name, flags, section */
    if (!SetupFindFirstLineW(inf, section, L"AddService", &model) ||
        !SetupGetStringField(&model, 3, name, ARRAYSIZE(name), NULL))
        return failed("AddService");
    errors += print_section(inf, name);
    SetupCloseInfFile(inf);
    return errors != 0;
}
