import java.io.FileInputStream;
import java.io.InputStream;
import java.util.Map;
import java.util.TreeMap;
import org.verapdf.gf.foundry.VeraGreenfieldFoundryProvider;
import org.verapdf.pdfa.Foundries;
import org.verapdf.pdfa.PDFAParser;
import org.verapdf.pdfa.flavours.PDFAFlavour;
import org.verapdf.pdfa.results.TestAssertion;
import org.verapdf.pdfa.results.ValidationResult;
import org.verapdf.pdfa.validation.profiles.Profiles;
import org.verapdf.pdfa.validation.profiles.ValidationProfile;
import org.verapdf.pdfa.validation.validators.ValidatorFactory;

/**
 * Holds PDFs against PDF/A-3a and PDF/UA-1 with veraPDF's library.
 *
 * <p>Prints one line for each file and standard: "file TAB standard TAB checks made TAB faults". A
 * fault is "rule (times): what the first one is". Ends with an exception where a file cannot be read.
 */
final class Verapdf {
    private static final Map<String, String> STANDARDS =
            new TreeMap<>(Map.of("3a", "PDFA-3A.xml", "ua1", "PDFUA-1.xml"));
    private static final String PROFILES = "/org/verapdf/pdfa/validation/";

    public static void main(String[] files) throws Exception {
        java.util.logging.LogManager.getLogManager().reset();
        VeraGreenfieldFoundryProvider.initialise();
        for (String file : files) {
            for (Map.Entry<String, String> standard : STANDARDS.entrySet()) {
                String answer = answer(file, standard.getKey(), standard.getValue());
                System.out.println(file + "\t" + standard.getKey() + "\t" + answer);
            }
        }
    }

    private static String answer(String file, String name, String rules) throws Exception {
        PDFAFlavour flavour = PDFAFlavour.fromString(name);
        try (InputStream source = Verapdf.class.getResourceAsStream(PROFILES + rules);
                InputStream data = new FileInputStream(file);
                PDFAParser parser = Foundries.defaultInstance().createParser(data, flavour, flavour)) {
            ValidationProfile profile = Profiles.profileFromXml(source);
            ValidationResult result =
                    ValidatorFactory.createValidator(profile, false, 0).validate(parser);
            String faults = faults(result);
            if (result.isCompliant() != faults.isEmpty()) {
                throw new IllegalStateException("the verdict is not that of the assertions");
            }
            return result.getTotalAssertions() + "\t" + faults;
        }
    }

    private static String faults(ValidationResult result) {
        Map<String, Integer> times = new TreeMap<>();
        Map<String, String> first = new TreeMap<>();
        for (TestAssertion assertion : result.getTestAssertions()) {
            if (assertion.getStatus() != TestAssertion.Status.FAILED) {
                continue;
            }
            String rule = assertion.getRuleId().getClause() + "-" + assertion.getRuleId().getTestNumber();
            times.merge(rule, 1, Integer::sum);
            first.putIfAbsent(rule, assertion.getMessage() + " @ " + assertion.getLocation().getContext());
        }
        StringBuilder said = new StringBuilder();
        times.forEach((rule, count) ->
                said.append(rule + " (" + count + "): " + first.get(rule).replaceAll("\\s+", " ") + "; "));
        return said.toString().strip();
    }
}
