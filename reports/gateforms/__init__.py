"""The gate's answer in the forms that CI systems read: JUnit, SARIF and Markdown."""
