// Changes refs with JGit, one command per line: set REF ID, delete REF, symbolic REF TARGET, pack. Answers `ok` or the
// error, in one line.
import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import org.eclipse.jgit.lib.ObjectId;
import org.eclipse.jgit.lib.Ref;
import org.eclipse.jgit.lib.RefUpdate;
import org.eclipse.jgit.lib.Repository;
import org.eclipse.jgit.storage.file.FileRepositoryBuilder;
import org.eclipse.jgit.internal.storage.file.RefDirectory;

class JgitRefs {
    static void check(RefUpdate.Result result) throws Exception {
        switch (result) {
            case NEW, FORCED, FAST_FORWARD, NO_CHANGE, RENAMED -> {}
            default -> throw new Exception(result.toString());
        }
    }

    static void run(Repository repository, String[] words) throws Exception {
        switch (words[0]) {
            case "set" -> {
                RefUpdate update = repository.updateRef(words[1]);
                update.setNewObjectId(ObjectId.fromString(words[2]));
                check(update.forceUpdate());
            }
            case "delete" -> {
                RefUpdate update = repository.updateRef(words[1], true);
                update.setForceUpdate(true);
                check(update.delete());
            }
            case "symbolic" -> check(repository.updateRef(words[1]).link(words[2]));
            case "pack" -> {
                if (!(repository.getRefDatabase() instanceof RefDirectory directory)) throw new Exception("no files");
                directory.pack(repository.getRefDatabase().getRefs().stream().map(Ref::getName).toList());
            }
            default -> throw new Exception("unknown command");
        }
    }

    public static void main(String[] arguments) throws Exception {
        Repository repository = new FileRepositoryBuilder().setGitDir(new File(arguments[0])).build();
        System.out.println("ready");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            try {
                run(repository, line.trim().split(" "));
                System.out.println("ok");
            } catch (Exception error) {
                System.out.println("error " + String.valueOf(error).replace('\n', ' '));
            }
        }
    }
}
