// Keeps a pool of connections (HikariCP, Hive's JDBC driver), and uses them as it is told.
//
//     java -cp … groovy.ui.GroovyMain pool.groovy URL USER PASSWORD SIZE
//
// A command is a line on standard input; what came of it is a line on standard output for each connection, and then an
// empty line. It ends when its input does.
//
//     all STATEMENT      takes all connections out at once, runs the statement on each, then gives them back
//     begin STATEMENT    the same, but only begins: no line comes but the empty one
//     end                what came of the statements that were begun
//     renew              closes all connections, so that the pool opens new ones
import com.zaxxer.hikari.HikariConfig
import com.zaxxer.hikari.HikariDataSource
import java.sql.SQLException
import java.util.concurrent.Callable
import java.util.concurrent.CyclicBarrier
import java.util.concurrent.Executors
import java.util.concurrent.TimeUnit

def (url, user, password, size) = [args[0], args[1], args[2], args[3] as int]
def config = new HikariConfig(jdbcUrl: url, username: user, password: password, maximumPoolSize: size, minimumIdle: size)
def pool = new HikariDataSource(config)
def threads = Executors.newCachedThreadPool()

/** One checkout: the first value of the statement's first row, or the error. */
def use = { String statement, CyclicBarrier together ->
    def connection = null
    try {
        connection = pool.connection
        together.await(1, TimeUnit.MINUTES)
        def rows = connection.createStatement().executeQuery(statement)
        rows.next()
        return "row ${rows.getString(1)}"
    } catch (SQLException error) {
        return "error ${error.SQLState} ${error.message}".readLines().join(' ')
    } catch (Exception error) {
        return "failed ${error}".readLines().join(' ')
    } finally {
        // The pool closes its statements.
        connection?.close()
    }
}
def begin = { String statement ->
    def together = new CyclicBarrier(size)
    (1..size).collect { threads.submit({ use(statement, together) } as Callable) }
}

def begun = []
System.in.eachLine { line ->
    def (command, statement) = (line.split(' ', 2) as List) + ['']
    switch (command) {
        case 'all': begin(statement)*.get().each { println it }; break
        case 'begin': begun = begin(statement); break
        case 'end': begun*.get().each { println it }; break
        case 'renew': pool.hikariPoolMXBean.softEvictConnections(); break
        default: println "failed: unknown command ${command}"
    }
    println ''
    System.out.flush()
}
// Nothing that still waits for a server keeps it.
System.exit(0)
