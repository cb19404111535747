#!/usr/bin/env escript
%%! -kernel logger_level none
%% Erlang/OTP's answer to the questions of this bench. Reads "question count" lines, answers each with one number:
%% nanoseconds, or bytes.
-mode(compile).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, start_link/1, terminate/2]).

main(_) ->
    logger:set_primary_config(level, none),
    process_flag(trap_exit, true),
    loop().

loop() ->
    case io:get_line("") of
        eof -> ok;
        Line ->
            [What, Count] = string:lexemes(string:trim(Line), " "),
            N = list_to_integer(Count),
            %% Each question in a process of its own, so that none inherits a grown heap.
            Me = self(),
            {Pid, Ref} = spawn_monitor(fun() -> process_flag(trap_exit, true), Me ! {answer, ask(What, N)} end),
            receive {answer, Answer} -> io:format("~b~n", [Answer]) end,
            receive {'DOWN', Ref, process, Pid, _} -> ok end,
            loop()
    end.

%% --- the worker

start_link(Life) -> gen_server:start_link(?MODULE, {worker, Life}, []).

init({supervisor, Specs}) ->
    {ok, {#{strategy => one_for_one, intensity => 1000000000, period => 1}, Specs}};
init({worker, Life}) ->
    counters:add(Life, 1, 1),
    {ok, 0}.

handle_call({get, N}, _, Sum) -> {reply, Sum + N, Sum}.
handle_cast({add, N}, Sum) -> {noreply, Sum + N};
handle_cast(crash, Sum) -> {stop, crash, Sum}.
handle_info(_, Sum) -> {noreply, Sum}.
terminate(_, _) -> ok.

spec(N, Life) ->
    #{id => N, start => {gen_server, start_link, [?MODULE, {worker, Life}, []]}, restart => transient}.

%% --- the questions

ask("call", N) ->
    {ok, Pid} = start_link(counters:new(1, [])),
    Spent = timed(fun() -> calls(Pid, N) end),
    gen_server:stop(Pid),
    Spent;
ask("cast", N) ->
    {ok, Pid} = start_link(counters:new(1, [])),
    Spent = timed(fun() -> casts(Pid, N), gen_server:call(Pid, {get, 0}) end),
    gen_server:stop(Pid),
    Spent;
ask("spawn", N) ->
    Life = counters:new(1, []),
    Sup = supervisor(),
    Spent = timed(fun() -> start(Sup, Life, N) end),
    stop(Sup),
    Spent;
ask("storm", N) ->
    Life = counters:new(1, [atomics]),
    Sup = supervisor(),
    Pids = start(Sup, Life, N),
    Spent = timed(fun() ->
        [gen_server:cast(Pid, crash) || Pid <- Pids],
        wait(Life, 2 * N)
    end),
    stop(Sup),
    Spent;
ask("stop", N) ->
    Life = counters:new(1, []),
    Sup = supervisor([spec(I, Life) || I <- lists:seq(1, N)]),
    timed(fun() -> stop(Sup) end);
ask("directory", N) ->
    Life = counters:new(1, []),
    Sup = supervisor(),
    timed(fun() ->
        Pids = start(Sup, Life, N),
        [gen_server:call(Pid, {get, 1}) || Pid <- Pids],
        [supervisor:terminate_child(Sup, I) || I <- lists:seq(1, N)],
        [supervisor:delete_child(Sup, I) || I <- lists:seq(1, N)]
    end);
ask("memory", N) ->
    Life = counters:new(1, []),
    Sup = supervisor(),
    garbage_collect(Sup),
    Before = erlang:memory(total),
    start(Sup, Life, N),
    garbage_collect(Sup),
    garbage_collect(),
    Spent = erlang:memory(total) - Before,
    stop(Sup),
    Spent div N.

supervisor() -> supervisor([]).
supervisor(Specs) ->
    {ok, Sup} = supervisor:start_link(?MODULE, {supervisor, Specs}),
    Sup.

start(Sup, Life, N) ->
    [begin {ok, Pid} = supervisor:start_child(Sup, spec(I, Life)), Pid end || I <- lists:seq(1, N)].

stop(Sup) ->
    Ref = monitor(process, Sup),
    exit(Sup, shutdown),
    receive {'DOWN', Ref, process, Sup, _} -> ok end.

calls(_, 0) -> ok;
calls(Pid, N) -> _ = gen_server:call(Pid, {get, N}, 5000), calls(Pid, N - 1).

casts(_, 0) -> ok;
casts(Pid, N) -> gen_server:cast(Pid, {add, N}), casts(Pid, N - 1).

%% The starts are counted where the workers start; looking once a millisecond costs nothing that shows.
wait(Life, N) ->
    case counters:get(Life, 1) >= N of
        true -> ok;
        false -> receive after 1 -> wait(Life, N) end
    end.

timed(Fun) ->
    Began = erlang:monotonic_time(nanosecond),
    Fun(),
    erlang:monotonic_time(nanosecond) - Began.
