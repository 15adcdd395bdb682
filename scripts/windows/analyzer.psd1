# For PSScriptAnalyzer, which the Windows workflow runs.
@{
    Severity     = @('Error', 'Warning')
    ExcludeRules = @(
        # It does not look into functions, and calls a script's parameter unused that only those read.
        'PSReviewUnusedParameter'
    )
}
